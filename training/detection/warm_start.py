"""The weights that a training begins with: the champion's, those of a pretrained DETR, or random ones."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedModel

from aura.errors import ArtifactError
from inference.detection.architecture import (
    build_tiny,
    load_pretrained,
    pretrained_normalisation,
    tiny_normalisation,
)
from inference.detection.artifact import load_artifact
from inference.detection.preprocess import Preprocess
from training.detection.settings import DetectionSettings

_NOT_SHAPE = {"_name_or_path", "transformers_version", "architectures", "dtype", "dropout", "auxiliary_loss"}
"""Keys of a transformers config that do not decide which weights fit."""

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class InitialModel:
    """Network with the input that it expects; `warm_started`: its weights are the champion's."""

    model: PreTrainedModel
    preprocess: Preprocess
    warm_started: bool


def initial_model(settings: DetectionSettings, labels: tuple[str, ...], champion_dir: Path | None) -> InitialModel:
    """The champion when it has the wanted network, input and labels; the profile's base otherwise, with a warning.

    Raises:
        SettingsError: `settings.base` cannot be loaded.
    """
    base = _from_profile(settings, labels)
    if champion_dir is None:
        return base
    try:
        champion, preprocess, _ = load_artifact(champion_dir)
    except ArtifactError as error:
        warnings.warn(f"cannot continue from the champion, starting from the profile's base: {error}", stacklevel=2)
        return base
    differing = _differences(champion, preprocess, base)
    if differing:
        warnings.warn(
            f"the champion does not fit the settings ({', '.join(differing)} differ); starting from the profile's base",
            stacklevel=2,
        )
        return base
    if hasattr(base.model.config, "auxiliary_loss"):
        champion.config.auxiliary_loss = base.model.config.auxiliary_loss
    return InitialModel(model=champion, preprocess=preprocess, warm_started=True)


def _from_profile(settings: DetectionSettings, labels: tuple[str, ...]) -> InitialModel:
    if settings.base:
        model = load_pretrained(settings.base, labels)
        mean, std = (cast(Triple, values) for values in pretrained_normalisation(settings.base))
    else:
        model = build_tiny(settings.tiny, labels)
        mean, std = tiny_normalisation(settings.tiny)
    preprocess = Preprocess(height=settings.image_height, width=settings.image_width, mean=mean, std=std)
    return InitialModel(model=model, preprocess=preprocess, warm_started=False)


def _differences(champion: PreTrainedModel, preprocess: Preprocess, wanted: InitialModel) -> list[str]:
    differing = [] if preprocess == wanted.preprocess else ["preprocess"]
    have, want = _shape(champion), _shape(wanted.model)
    return differing + sorted(key for key in have.keys() | want.keys() if have.get(key) != want.get(key))


def _shape(model: PreTrainedModel) -> dict[str, Any]:
    config: dict[str, Any] = model.config.to_dict()
    if isinstance(config.get("backbone_config"), dict):
        config["backbone_config"] = {k: v for k, v in config["backbone_config"].items() if k not in _NOT_SHAPE}
    return {key: value for key, value in config.items() if key not in _NOT_SHAPE}
