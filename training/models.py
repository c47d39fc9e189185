"""The three models: which settings, training and evaluation belong to a name.

Imports happen when a model is asked for, so that a box that trains the detector does not need the chat model's libraries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from aura.settings import read_profile, validate
from inference.smoke_test import SmokeTest
from training.context import Evaluation, TrainContext
from training.settings import RunSettings, TrainerSettings

MODELS = ("detection", "outfits", "chat")
ModelName = Literal["detection", "outfits", "chat"]

_SETTINGS = {"detection": "DetectionSettings", "outfits": "OutfitsSettings", "chat": "ChatSettings"}


@dataclass(frozen=True)
class ModelParts:
    """What a model's package offers.

    Attributes:
        data_parts: folders below the prepared data that training and evaluation read.
        sources: paths of the repository whose code decides what the training yields.
    """

    name: str
    settings: type[TrainerSettings]
    train: Callable[[Any, TrainContext], dict[str, float]]
    evaluate: Callable[[Path, Path, Any, int], Evaluation]
    smoke_test: SmokeTest
    data_parts: tuple[str, ...]
    sources: tuple[str, ...]


DATA_PARTS = {"detection": ("detection",), "outfits": ("outfits",), "chat": ("chat", "knowledge")}


def model_sources(name: str) -> tuple[str, ...]:
    """Code that a change of which calls for a new training."""
    shared = ("training/settings.py", "training/fit.py", "inference/smoke_test.py", "aura/taxonomy.py")
    extra = {
        "detection": ("aura/pictures.py",),
        "outfits": ("aura/pictures.py", "inference/text_embedding.py"),
        "chat": ("inference/retrieval/chunks.py",),
    }
    return (*shared, f"training/{name}", f"inference/{name}", *extra[name])


def model_parts(name: str) -> ModelParts:
    """Parts of a model by name.

    Raises:
        ValueError: lists the known names.
    """
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    return ModelParts(
        name=name,
        settings=getattr(import_module(f"training.{name}.settings"), _SETTINGS[name]),
        train=import_module(f"training.{name}.train").train,
        evaluate=import_module(f"training.{name}.evaluate").evaluate,
        smoke_test=import_module(f"inference.{name}.smoke_test").SMOKE_TEST,
        data_parts=DATA_PARTS[name],
        sources=model_sources(name),
    )


def read_model_settings(name: str, profile: str) -> tuple[ModelParts, TrainerSettings, RunSettings]:
    """What trains and judges a model, its section of a profile (name or YAML file), and what all models share.

    Raises:
        SettingsError: the profile is unknown, or lists what is wrong in these sections.
    """
    values = read_profile(profile)
    shared = {key: values[key] for key in RunSettings.model_fields if key in values}
    parts = model_parts(name)
    return parts, validate(parts.settings, values.get(name), name), validate(RunSettings, shared)
