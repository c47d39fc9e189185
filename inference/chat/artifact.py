"""Files of a chat artifact: the adapter, its config, and how its prompts are built.

`adapter_model.safetensors` and `adapter_config.json` (PEFT's format, readable by vLLM), `config.json` (`ChatConfig`),
`preprocess.json` (`PromptSettings`), `labels.json` (roles); beside them what `Familiarity` and `DeclineRule` write.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal, TypeVar

from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from peft.utils import get_peft_model_state_dict
from pydantic import ValidationError, field_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError
from aura.settings import Section
from inference.chat.choosing import ChoiceRule
from inference.chat.prompt import PROMPT_VERSION, ROLES
from inference.chat.settings import AnswerSettings, GenerationSettings, LoraSettings, PromptSettings
from inference.references import split_revision

WEIGHTS = "adapter_model.safetensors"
_ADAPTER_CONFIG = "adapter_config.json"
SectionType = TypeVar("SectionType", bound=Section)


class ChatConfig(Section):
    """The base and prompts that an adapter belongs to, and how it answers."""

    model: Literal["chat"] = "chat"
    base: str
    lora: LoraSettings
    prompt_version: int
    generation: GenerationSettings
    answers: AnswerSettings
    choice: ChoiceRule = ChoiceRule()

    @field_validator("answers")
    @classmethod
    def _decided(cls, answers: AnswerSettings) -> AnswerSettings:
        if answers.way == "auto":
            raise ValueError("way must be quoted or free: an adapter is trained for one of them")
        return answers


def write_chat_artifact(folder: Path, model: PeftModel, config: ChatConfig, prompt: PromptSettings) -> None:
    """Write the adapter of `model` and everything that is needed to serve it."""
    folder.mkdir(parents=True, exist_ok=True)
    # "auto" would ask the hub whether the embeddings were resized.
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    save_file({name: state[name].detach().float().cpu().contiguous() for name in sorted(state)}, folder / WEIGHTS)
    values = model.peft_config["default"].to_dict()
    name, revision = split_revision(config.base)
    values |= {"base_model_name_or_path": name, "revision": revision, "inference_mode": True}
    # PEFT keeps the targets in a set, whose order differs from one process to the next.
    values["target_modules"] = sorted(values["target_modules"])
    write_json(folder / _ADAPTER_CONFIG, values)
    write_chat_config(folder, config)
    write_json(folder / "preprocess.json", prompt.model_dump(mode="json"))
    write_json(folder / "labels.json", {"roles": list(ROLES)})


def write_chat_config(folder: Path, config: ChatConfig) -> None:
    """Write, or replace, the config alone: the rules of answers are fitted when the adapter is written."""
    write_json(folder / "config.json", config.model_dump(mode="json"))


def read_chat_artifact(folder: Path) -> tuple[ChatConfig, PromptSettings]:
    """Config and prompt settings of an artifact.

    Raises:
        ArtifactError: a file is missing, broken or of another model, or this code builds its prompts differently.
    """
    config = _checked(ChatConfig, read_json(folder / "config.json", "the chat model's config"), folder / "config.json")
    prompt = _checked(
        PromptSettings,
        read_json(folder / "preprocess.json", "the chat model's prompt settings"),
        folder / "preprocess.json",
    )
    if config.prompt_version != PROMPT_VERSION:
        raise ArtifactError(
            f"{folder} was trained on prompts of version {config.prompt_version}; this code builds version {PROMPT_VERSION}",
            hint="train again, or run the code that the artifact was made with",
        )
    if not (folder / WEIGHTS).is_file():
        raise ArtifactError(f"the adapter is missing: {folder / WEIGHTS}", hint="train again, or roll back")
    return config, prompt


def add_lora(base: PreTrainedModel, settings: LoraSettings, reference: str) -> PeftModel:
    """A fresh adapter, which changes nothing until it is trained or loaded.

    Raises:
        ArtifactError: the base lacks these modules, or has too few layers.
    """
    layers: int = base.config.get_text_config().num_hidden_layers
    if settings.last_layers is not None and settings.last_layers > layers:
        raise ArtifactError(
            f"{reference} has {layers} layers; last_layers asks for {settings.last_layers}",
            hint=f"set at most {layers}",
        )
    first = 0 if settings.last_layers is None else layers - settings.last_layers
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.targets),
        layers_to_transform=None if settings.last_layers is None else list(range(first, layers)),
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            # PEFT asks transformers by a name that transformers has renamed.
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
            model = get_peft_model(base, config)
    except ValueError as error:
        raise ArtifactError(
            f"cannot put a LoRA adapter on {reference}: {error}", hint="correct chat.lora.targets"
        ) from error
    if not isinstance(model, PeftModel):
        raise ValueError(f"expected a PeftModel, not {type(model).__name__}")
    return model


def load_adapter(model: PeftModel, folder: Path) -> None:
    """Put an artifact's weights into a model that `add_lora` made with the same settings.

    Raises:
        ArtifactError: the file is broken, or its names and shapes are not those of the model.
    """
    try:
        state = load_file(folder / WEIGHTS)
        result = set_peft_model_state_dict(model, state)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ArtifactError(
            f"the adapter in {folder} does not fit its config.json: {error}", hint="train again, or roll back"
        ) from error
    missing = [name for name in result.missing_keys if "lora_" in name]
    if missing or result.unexpected_keys:
        raise ArtifactError(
            f"the adapter in {folder} lacks {len(missing)} and has {len(result.unexpected_keys)} unknown tensors "
            f"(for example {(missing or result.unexpected_keys)[0]})",
            hint="train again, or roll back",
        )


def _checked(schema: type[SectionType], values: Any, path: Path) -> SectionType:
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ArtifactError(f"{path} is not a chat model's: {problems}", hint="train again, or roll back") from error
