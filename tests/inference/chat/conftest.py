"""A tiny random Llama with a tokenizer of its own, and an adapter for it: everything real but the size."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from inference.chat.artifact import ChatConfig, add_lora, write_chat_artifact
from inference.chat.base import load_causal_model
from inference.chat.choosing import ChoiceRule
from inference.chat.familiarity import Familiarity
from inference.chat.model import ChatModel
from inference.chat.passages import ChatPassage
from inference.chat.prompt import PROMPT_VERSION
from inference.chat.settings import AnswerSettings, GenerationSettings, PromptSettings
from inference.text_embedding import text_embedder_for
from tests.inference.chat.decline_rules import declines_below
from tests.inference.chat.tiny_base import LORA, save_tiny_base

PROMPT = PromptSettings(system="Be brief.", passage_tokens=200, history_tokens=40, question_tokens=60, answer_tokens=60)
KNOWN = ChatPassage(source="Wool. Washing", text="Wash wool at 30 degrees.")
"""What the tiny adapter was trained on."""
CHOICE = ChoiceRule(intercept=0.5, posterior=1.5, in_context=2.0)
DECLINES = declines_below("mean_similarity", 0.3)
"""Nothing is answered from passages that are farther than 0.3."""


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_base(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def tiny_adapter(tiny_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifact whose adapter is far from doing nothing."""
    torch.manual_seed(3)
    model = add_lora(load_causal_model(tiny_base, dtype=torch.float32), LORA, str(tiny_base))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    config = ChatConfig(
        base=str(tiny_base), lora=LORA, prompt_version=PROMPT_VERSION, generation=GenerationSettings(max_new_tokens=24),
        answers=AnswerSettings(way="quoted", max_sentences=2), choice=CHOICE,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("adapter") / "artifact"
    write_chat_artifact(folder, model, config, PROMPT)
    embed = text_embedder_for(config.answers.text_embedder).encode
    Familiarity.of([KNOWN], ["How do I wash wool?"], embed).save(folder)
    DECLINES.save(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_chat(tiny_adapter: Path) -> ChatModel:
    # In 32 bits, where what is computed in two ways is the same to many digits.
    return ChatModel.load(tiny_adapter, dtype="float32")


@pytest.fixture(scope="session")
def free_chat(tiny_chat: ChatModel) -> ChatModel:
    """The same model, answering in its own words: random ones."""
    return ChatModel(
        tiny_chat.model, tiny_chat.tokenizer, prompt=PROMPT, generation=tiny_chat.generation,
        answers=AnswerSettings(way="free"), declines=DECLINES, familiarity=tiny_chat.familiarity,
    )  # fmt: skip
