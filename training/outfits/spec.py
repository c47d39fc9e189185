"""The outfit model as one object; see `training.spec`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from aura.heavy_imports import heavy_imports
from inference.outfits.smoke_test import SMOKE_TEST
from training.context import Evaluation, TrainContext
from training.judged import JudgedCases
from training.outfits.settings import OutfitsSettings
from training.spec import GateRule, ModelSpec


class OutfitsGate(GateRule):
    """When an outfit model is good enough."""

    metric: Literal["fitb", "fitb_random", "fitb_by_query"] = "fitb"


def _train(settings: OutfitsSettings, context: TrainContext) -> dict[str, float]:
    with heavy_imports(at_start=True):
        from training.outfits.train import train

    return train(settings, context)


def _evaluate(artifact_dir: Path, data_dir: Path, settings: OutfitsSettings, seed: int) -> Evaluation:
    with heavy_imports(at_start=True):
        from training.outfits.evaluate import evaluate

    return evaluate(artifact_dir, data_dir, settings, seed)


def _controls(data_dir: Path, settings: OutfitsSettings, seed: int) -> Mapping[str, JudgedCases]:
    from training.outfits.evaluate import controls

    return controls(data_dir, settings, seed)


SPEC = ModelSpec(
    name="outfits",
    settings=OutfitsSettings,
    data_folders=("outfits",),
    train=_train,
    evaluate=_evaluate,
    controls=_controls,
    gate=OutfitsGate,
    smoke_test=SMOKE_TEST,
    metrics={
        "fitb": "share of blanks filled rightly of four garments of one category; guessing 0.25, higher is better",
        "fitb_random": "as fitb, wrong garments of any category; guessing 0.25, higher is better",
        "fitb_by_query": "as fitb, chosen by the query's embedding, as retrieval does; guessing 0.25, higher is better",
        "fitb_unseen": "fitb where no training outfit holds the right garment; guessing 0.25, higher is better",
        "unseen_questions": "questions behind fitb_unseen",
        "auc": "true outfits ranked above corrupted ones; guessing 0.5, higher is better",
        "recall_at_1": "right garment first among all of its category; 0 to 1, higher is better",
        "recall_at_5": "right garment among the first 5 of its category; 0 to 1, higher is better",
        "recall_at_10": "right garment among the first 10 of its category; 0 to 1, higher is better",
        "popularity_fitb": "fitb of a baseline that picks what is worn often",
        "fitb_gain": "fitb minus popularity_fitb; higher is better",
        "cooccurrence_fitb": "fitb of a baseline that picks what was worn together",
        "fitb_gain_over_cooccurrence": "fitb minus cooccurrence_fitb; higher is better",
    },
    slice_metric="fitb",
)
