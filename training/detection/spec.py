"""The detector as one object; see `training.spec`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from aura.heavy_imports import heavy_imports
from inference.detection.smoke_test import SMOKE_TEST
from training.context import Evaluation, TrainContext
from training.detection.settings import DetectionSettings
from training.judged import JudgedCases
from training.spec import GateRule, ModelSpec


class DetectionGate(GateRule):
    """When a detector is good enough."""

    metric: Literal["ap50"] = "ap50"
    seed_deviation: float = Field(default=0.006, ge=0)
    """Of AP50. Measured between seeds were 0.0066 and 0.0078, both with a wide margin; with 0.006, of equal detectors each beside
    each about as many are promoted as the interval of 95 % promises, two in a hundred (docs/benchmarks/gate.md)."""


def _train(settings: DetectionSettings, context: TrainContext) -> dict[str, float]:
    with heavy_imports(at_start=True):
        from training.detection.train import train

    return train(settings, context)


def _evaluate(artifact_dir: Path, data_dir: Path, settings: DetectionSettings, seed: int) -> Evaluation:
    with heavy_imports(at_start=True):
        from training.detection.evaluate import evaluate

    return evaluate(artifact_dir, data_dir, settings, seed)


def _controls(data_dir: Path, _settings: DetectionSettings, _seed: int) -> Mapping[str, JudgedCases]:
    from training.detection.evaluate import controls

    return controls(data_dir)


SPEC = ModelSpec(
    name="detection",
    settings=DetectionSettings,
    data_folders=("detection",),
    train=_train,
    evaluate=_evaluate,
    controls=_controls,
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
