"""An outfit model's figures on the test split, through the class that serves, beside a control that knows no outfits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from aura.errors import DataError
from aura.taxonomy import Category
from inference.outfits.items import Item
from inference.outfits.model import OutfitModel
from training.context import Evaluation
from training.outfits.data import ItemRow, read_tables
from training.outfits.exam import Popularity, make_exam
from training.outfits.measure import (
    by_category,
    compatibility_auc,
    fitb_choices,
    fitb_choices_by_query,
    mean,
    recall,
    retrieval_ranks,
    right,
)
from training.outfits.settings import OutfitsSettings

_MIN_SLICE_QUESTIONS = 20


def evaluate(artifact_dir: Path, data_dir: Path, settings: OutfitsSettings, seed: int) -> Evaluation:
    """Figures on `DATA/outfits/test.jsonl`; the questions depend on the split, the seed and `settings.exam_questions` alone.

    Metrics: `fitb` (share of blanks filled rightly, wrong candidates of the answer's own category), `fitb_random` (of any
    category), `fitb_by_query` (chosen by the query's embedding, as retrieval does), `popularity_fitb` (the control on the
    questions of `fitb`) and `fitb_gain` = `fitb` - `popularity_fitb`, `auc` of true against corrupted outfits, and
    `recall_at_k` of the true garment among all of its category. Slices: `fitb` per category of the blank with at least 20
    questions. `n` counts the questions of `fitb`.

    Raises:
        ArtifactError: the artifact is incomplete or corrupt.
        DataError: the split is missing, broken, or too small to ask a question.
    """
    tables = read_tables(data_dir)
    exam = make_exam(tables.items, tables.outfits["test"], seed=seed, most_questions=settings.exam_questions)
    questions = exam.fitb["same_category"]
    if not questions:
        raise DataError(
            f"{len(tables.outfits['test'])} test outfits give no fill-in-the-blank question",
            hint="add outfits, or change the split fractions",
        )
    examinee = ModelExaminee(OutfitModel.load(artifact_dir), tables.items)
    control = Popularity(tables.items, tables.outfits["train"]).accuracy(questions)
    correct = right(fitb_choices(examinee, questions), questions)
    fitb = mean(correct)
    metrics = {
        "fitb": fitb,
        "fitb_random": mean(right(fitb_choices(examinee, exam.fitb["random"]), exam.fitb["random"])),
        "fitb_by_query": mean(right(fitb_choices_by_query(examinee, questions), questions)),
        "popularity_fitb": control,
        "fitb_gain": fitb - control,
        "auc": compatibility_auc(examinee, exam),
    }
    asked = {category: sum(question.category == category for question in questions) for category in Category}
    slices = {
        name: value
        for name, value in by_category(correct, questions).items()
        if asked[Category(name)] >= _MIN_SLICE_QUESTIONS
    }
    return Evaluation(
        metrics=metrics | recall(retrieval_ranks(examinee, exam)), slices={"category": slices}, n=len(questions)
    )


class ModelExaminee:
    """Sits an exam with the served model. Each garment's picture is read once and kept."""

    def __init__(self, model: OutfitModel, rows: Mapping[str, ItemRow]) -> None:
        self._model, self._rows = model, rows
        self._items: dict[str, Item] = {}

    def score(self, outfits: Sequence[Sequence[str]]) -> np.ndarray:
        return np.asarray(self._model.score([self._outfit(outfit) for outfit in outfits]))

    def queries(self, contexts: Sequence[Sequence[str]], targets: Sequence[Category]) -> np.ndarray:
        return self._model.queries([self._outfit(context) for context in contexts], targets)

    def embed(self, items: Sequence[str]) -> np.ndarray:
        return self._model.embed_items(self._outfit(items))

    def _outfit(self, names: Sequence[str]) -> list[Item]:
        for name in names:
            if name not in self._items:
                self._items[name] = self._rows[name].item()
        return [self._items[name] for name in names]
