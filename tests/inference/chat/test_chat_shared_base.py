"""Adapters of several releases on one base: each answers as if it were alone, and what they share is in memory once."""

from __future__ import annotations

import gc
import shutil
import weakref
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aura.errors import ArtifactError
from inference.chat import model as chat_model
from inference.chat.artifact import WEIGHTS, read_chat_artifact, write_chat_config
from inference.chat.model import ChatModel
from tests.inference.chat.tiny_base import LORA

ASK = [{"role": "user", "content": "What goes with brown shoes?"}]


@pytest.fixture
def other_adapter(tiny_adapter: Path, tmp_path: Path) -> Path:
    """The adapter turned round."""
    folder = Path(shutil.copytree(tiny_adapter, tmp_path / "other"))
    save_file({name: -value for name, value in load_file(folder / WEIGHTS).items()}, folder / WEIGHTS)
    return folder


@pytest.fixture
def first(tiny_adapter: Path) -> ChatModel:
    return ChatModel.load(tiny_adapter, dtype="bfloat16")


def weights(model: ChatModel) -> dict[str, torch.Tensor]:
    return dict(model.model.named_parameters())


def test_an_adapter_beside_another_is_what_it_is_alone(
    first: ChatModel, tiny_adapter: Path, other_adapter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said, alone = first.reply(ASK).text, ChatModel.load(other_adapter, dtype="bfloat16")
    monkeypatch.setattr(chat_model, "SharedBase", None)  # the base is not read again
    beside = ChatModel.load(other_adapter, beside=first, dtype="bfloat16")
    assert all(torch.equal(weight, weights(beside)[name]) for name, weight in weights(alone).items())
    assert beside.reply(ASK) == alone.reply(ASK)
    assert first.reply(ASK).text == said, "what answers is not touched"
    back = ChatModel.load(tiny_adapter, beside=beside, dtype="bfloat16")
    assert all(torch.equal(weight, weights(back)[name]) for name, weight in weights(first).items()), "nothing drifts"


def test_only_adapted_matrices_are_there_twice(first: ChatModel, other_adapter: Path) -> None:
    beside = ChatModel.load(other_adapter, beside=first, dtype="bfloat16")
    own = {name for name, weight in weights(beside).items() if weight.data_ptr() != weights(first)[name].data_ptr()}
    assert own == {name for name in weights(first) if any(f".{target}." in name for target in LORA.targets)}


def test_what_no_release_needs_is_freed(first: ChatModel, other_adapter: Path) -> None:
    beside = ChatModel.load(other_adapter, beside=first, dtype="bfloat16")
    freed = [weakref.ref(weight) for name, weight in weights(beside).items() if "q_proj" in name]
    del beside
    gc.collect()
    assert freed
    assert [weight() for weight in freed] == [None] * len(freed)


def test_an_adapter_of_other_matrices_gets_a_base_of_its_own(first: ChatModel, other_adapter: Path) -> None:
    config, _ = read_chat_artifact(other_adapter)
    kept = {name: value for name, value in load_file(other_adapter / WEIGHTS).items() if "layers.1." in name}
    save_file(kept, other_adapter / WEIGHTS)
    write_chat_config(other_adapter, config.model_copy(update={"lora": LORA.model_copy(update={"last_layers": 1})}))
    beside = ChatModel.load(other_adapter, beside=first, dtype="bfloat16")
    assert beside.base is not first.base
    assert beside.reply(ASK) == ChatModel.load(other_adapter, dtype="bfloat16").reply(ASK)


def test_an_adapter_of_no_numbers_is_refused(first: ChatModel, other_adapter: Path) -> None:
    state = load_file(other_adapter / WEIGHTS)
    state[sorted(state)[0]].fill_(float("nan"))
    save_file(state, other_adapter / WEIGHTS)
    with pytest.raises(ArtifactError, match="no numbers"):
        ChatModel.load(other_adapter, beside=first, dtype="bfloat16")
