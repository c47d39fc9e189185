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

    metric: Literal["fitb_both", "fitb", "fitb_untitled", "fitb_random", "fitb_random_untitled", "fitb_by_query"] = (
        "fitb_both"
    )


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


_WITH_TITLES = {
    "fitb": "share of blanks filled rightly of four garments of one category; guessing 0.25, higher is better",
    "fitb_random": "as fitb, wrong garments of any category; guessing 0.25, higher is better",
    "fitb_by_query": "as fitb, chosen by the query's embedding, as retrieval does; guessing 0.25, higher is better",
    "auc": "true outfits ranked above corrupted ones of the same categories; guessing 0.5, higher is better",
    "ece": "expected calibration error of the score: how far it is from the share of true outfits; 0 is best",
    "ece_parts": "the same where two or more garments of each outfit are shown, as a photo or a wardrobe may have them",
    "one_category_odds": "median odds of outfits of one category (four pairs of shoes) over those of true ones; lower is better",
}

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
        "fitb_both": "mean of fitb and fitb_untitled: users send garments of both kinds; guessing 0.25, higher is better",
        **_WITH_TITLES,
        **{f"{name}_untitled": f"{said}; shown without titles" for name, said in _WITH_TITLES.items()},
        "fitb_unseen": "fitb where no training outfit holds the right garment; guessing 0.25, higher is better",
        "unseen_questions": "questions behind fitb_unseen",
        "recall_at_1": "right garment first among all of its category; 0 to 1, higher is better",
        "recall_at_5": "right garment among the first 5 of its category; 0 to 1, higher is better",
        "recall_at_10": "right garment among the first 10 of its category; 0 to 1, higher is better",
        "word_pairs_fitb": "fitb of counting which words and categories were worn together",
        "word_pairs_fitb_untitled": "the same, of the words that pictures give",
        "word_pairs_fitb_random": "fitb_random of counting which words and categories were worn together",
        "word_pairs_fitb_random_untitled": "the same, of the words that pictures give",
        "fitb_gain": "fitb minus word_pairs_fitb; higher is better",
        "fitb_gain_untitled": "fitb_untitled minus word_pairs_fitb_untitled; higher is better",
        "popularity_fitb": "fitb of picking what is worn often",
        "cooccurrence_fitb": "fitb of remembering by id which garments were worn together; no control: new ones have no past",
    },
    slice_metric="fitb_both",
)
