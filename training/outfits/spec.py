"""The outfit model as one object; see `training.spec`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from inference.outfits.smoke_test import SMOKE_TEST
from training.context import Evaluation, TrainContext
from training.outfits.settings import OutfitsSettings
from training.spec import GateRule, ModelSpec


class OutfitsGate(GateRule):
    """When an outfit model is good enough."""

    metric: Literal["fitb", "fitb_random", "fitb_by_query"] = "fitb"


def _train(settings: OutfitsSettings, context: TrainContext) -> dict[str, float]:
    from training.outfits.train import train

    return train(settings, context)


def _evaluate(artifact_dir: Path, data_dir: Path, settings: OutfitsSettings, seed: int) -> Evaluation:
    from training.outfits.evaluate import evaluate

    return evaluate(artifact_dir, data_dir, settings, seed)


SPEC = ModelSpec(
    name="outfits",
    settings=OutfitsSettings,
    data_folders=("outfits",),
    train=_train,
    evaluate=_evaluate,
    gate=OutfitsGate,
    smoke_test=SMOKE_TEST,
)
