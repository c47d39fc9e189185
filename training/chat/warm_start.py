"""Begin a chat training with the champion's adapter."""

from __future__ import annotations

import warnings
from pathlib import Path

from peft import PeftModel

from aura.errors import ArtifactError
from inference.chat.artifact import load_adapter, read_chat_artifact
from training.chat.settings import ChatSettings


def load_champion(model: PeftModel, settings: ChatSettings, champion_dir: Path | None) -> bool:
    """Load the champion's adapter if it has the same base and shape; a warning says why when it does not fit.

    Returns:
        Whether the champion's weights are in the model.

    Raises:
        ArtifactError: the champion fits by its config, but its weights are broken.
    """
    if champion_dir is None:
        return False
    try:
        config, _ = read_chat_artifact(champion_dir)
    except ArtifactError as error:
        warnings.warn(
            f"training starts from {settings.base}: the champion is of no use ({error.message})", stacklevel=2
        )
        return False
    if config.base != settings.base or config.lora.shape() != settings.lora.shape():
        warnings.warn(
            f"training starts from {settings.base}: the champion adapts {config.base} with {config.lora.shape()}, "
            f"the settings ask for {settings.lora.shape()}",
            stacklevel=2,
        )
        return False
    load_adapter(model, champion_dir)
    return True
