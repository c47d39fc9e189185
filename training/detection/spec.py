"""The detector as one object; see `training.spec`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from aura.heavy_imports import heavy_imports
from inference.detection.smoke_test import SMOKE_TEST
from training.context import Evaluation, TrainContext
from training.detection.settings import DetectionSettings
from training.spec import GateRule, ModelSpec


class DetectionGate(GateRule):
    """When a detector is good enough."""

    metric: Literal["ap50"] = "ap50"


def _train(settings: DetectionSettings, context: TrainContext) -> dict[str, float]:
    with heavy_imports():
        from training.detection.train import train

    return train(settings, context)


def _evaluate(artifact_dir: Path, data_dir: Path, settings: DetectionSettings, seed: int) -> Evaluation:
    with heavy_imports():
        from training.detection.evaluate import evaluate

    return evaluate(artifact_dir, data_dir, settings, seed)


SPEC = ModelSpec(
    name="detection",
    settings=DetectionSettings,
    data_folders=("detection",),
    train=_train,
    evaluate=_evaluate,
    gate=DetectionGate,
    smoke_test=SMOKE_TEST,
    metrics={
        "ap50": "mean average precision at IoU 0.5; 0 to 1, higher is better",
        "ap": "mean average precision over IoU 0.5 to 0.95 (COCO); 0 to 1, higher is better",
        "precision_served": "share of right boxes among those shown at the served thresholds; higher is better",
        "recall_served": "share of garments that are shown at the served thresholds; higher is better",
    },
    slice_metric="ap50",
)
