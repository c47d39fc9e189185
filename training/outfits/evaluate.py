"""An outfit model's metrics on the test split, through the class that serves, beside baselines that only count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path

import numpy as np
import torch

from aura.errors import DataError
from aura.prepared_rows import ItemRow, OutfitRow
from aura.taxonomy import Category
from inference.outfits.model import OutfitModel
from training.context import Evaluation
from training.device import training_device
from training.judged import JudgedCases, judging_half, reported_half
from training.outfits.baselines import Baseline, Cooccurrence, Popularity
from training.outfits.data import OutfitTables, open_item, read_tables
from training.outfits.metrics import (
    by_category,
    compatibility_auc,
    fitb_choices,
    fitb_choices_by_query,
    mean,
    recall,
    retrieval_ranks,
    right,
)
from training.outfits.questions import Question, QuestionSet, make_question_set
from training.outfits.settings import OutfitsSettings

_MIN_QUESTIONS = 20
"""A metric of fewer questions is left out: its standard error would be 0.1 and more."""


def evaluate(artifact_dir: Path, data_dir: Path, settings: OutfitsSettings, seed: int) -> Evaluation:
    """Metrics on `DATA/outfits/test.jsonl`; the questions depend on the split, the seed and `settings.max_questions` alone.

    Metrics, of the reported half of the outfits: `fitb` (share of blanks filled rightly, wrong candidates of the answer's own
    category), `fitb_random` (of any category), `fitb_by_query` (chosen by the query's embedding, as retrieval does), `auc` of
    true against corrupted outfits, and `recall_at_k` of the true garment among all of its category that the outfit does not
    hold already.

    Baselines, on the questions of `fitb`: `popularity_fitb` (what is worn often), `cooccurrence_fitb` (what was worn
    together), `fitb_gain` = `fitb` - `popularity_fitb`, `fitb_gain_over_cooccurrence` = `fitb` - `cooccurrence_fitb`.
    Splits share garments, as in the non-disjoint split of Polyvore Outfits (arXiv 1803.09196), so memory alone can
    answer much. It cannot answer `fitb_unseen`: `fitb` over the questions whose true garment no training outfit holds.
    `unseen_questions` counts them, and below 20 of them `fitb_unseen` is left out.

    Slices: `fitb` per category of the blank with at least 20 questions. `n` counts the questions of `fitb`. The model
    runs where `settings.accelerator` says.

    Judged by `fitb`, `fitb_random` and `fitb_by_query` of the other half, outfit by outfit (the blanks of one outfit are not
    independent).

    Raises:
        ArtifactError: the artifact is incomplete or corrupt.
        DataError: the split is missing, broken, or too small to ask a question.
    """
    tables = read_tables(data_dir)
    reported, judging = _halves(tables, settings, seed)
    questions = reported.fitb["same_category"]
    model = CachedOutfitModel(OutfitModel.load(artifact_dir, training_device(settings)), tables.items)
    correct = right(fitb_choices(model, questions), questions)
    metrics = {
        "fitb": mean(correct),
        "fitb_random": mean(right(fitb_choices(model, reported.fitb["random"]), reported.fitb["random"])),
        "fitb_by_query": mean(right(fitb_choices_by_query(model, questions), questions)),
        "auc": compatibility_auc(model, reported),
    }
    popularity = Popularity(tables.items, tables.outfits["train"])
    cooccurrence = Cooccurrence(tables.items, tables.outfits["train"])
    metrics |= recall(retrieval_ranks(model, reported))
    metrics |= {
        "popularity_fitb": popularity.accuracy(questions),
        "fitb_gain": mean(correct) - popularity.accuracy(questions),
        "cooccurrence_fitb": cooccurrence.accuracy(questions),
        "fitb_gain_over_cooccurrence": mean(correct) - cooccurrence.accuracy(questions),
    }
    seen = set(tables.used_in("train"))
    unseen = np.array([question.true_item not in seen for question in questions], dtype=bool)
    metrics["unseen_questions"] = float(unseen.sum())
    if unseen.sum() >= _MIN_QUESTIONS:
        metrics["fitb_unseen"] = mean(correct[unseen])
    counts = {category: sum(question.category == category for question in questions) for category in Category}
    return Evaluation(
        metrics=metrics,
        slices={
            "category": {
                name: value
                for name, value in by_category(correct, questions).items()
                if counts[Category(name)] >= _MIN_QUESTIONS
            }
        },
        n=len(questions),
        judged=_judged_model(model, judging),
    )


def controls(data_dir: Path, settings: OutfitsSettings, seed: int) -> Mapping[str, JudgedCases]:
    """The two baselines on the judging half.

    Raises:
        DataError: the split is missing, broken, or too small to ask a question.
    """
    tables = read_tables(data_dir)
    _, judging = _halves(tables, settings, seed)
    worn = tables.outfits["train"]
    return {
        "popularity": _judged_baseline(Popularity(tables.items, worn), judging),
        "co-occurrence": _judged_baseline(Cooccurrence(tables.items, worn), judging),
    }


def _halves(tables: OutfitTables, settings: OutfitsSettings, seed: int) -> tuple[QuestionSet, QuestionSet]:
    """Questions about the reported half of the test split, and about the judging half."""
    outfits = tables.outfits["test"]
    question_set = make_question_set(tables.items, outfits, seed=seed, max_questions=settings.max_questions)
    judges = judging_half([outfit.outfit_id for outfit in outfits])
    reported, judging = (question_set.about(_ids(outfits, half)) for half in (reported_half(judges), judges))
    if not reported.fitb["same_category"] or not judging.fitb["same_category"]:
        raise DataError(
            f"{len(outfits)} test outfits give no fill-in-the-blank question",
            hint="add outfits, or change the split fractions",
        )
    return reported, judging


def _ids(outfits: Sequence[OutfitRow], chosen: np.ndarray) -> set[str]:
    return {outfits[row].outfit_id for row in np.flatnonzero(chosen).tolist()}


def _judged_model(model: CachedOutfitModel, judging: QuestionSet) -> JudgedCases:
    questions, random = judging.fitb["same_category"], judging.fitb["random"]
    return judged_questions(
        {
            "fitb": (questions, right(fitb_choices(model, questions), questions)),
            "fitb_random": (random, right(fitb_choices(model, random), random)),
            "fitb_by_query": (questions, right(fitb_choices_by_query(model, questions), questions)),
        }
    )


def _judged_baseline(baseline: Baseline, judging: QuestionSet) -> JudgedCases:
    return judged_questions(
        {
            name: (judging.fitb[kind], np.array([baseline.credit(question) for question in judging.fitb[kind]]))
            for name, kind in (("fitb", "same_category"), ("fitb_by_query", "same_category"), ("fitb_random", "random"))
        }
    )


def judged_questions(credits: Mapping[str, tuple[Sequence[Question], np.ndarray]]) -> JudgedCases:
    """Metric to its questions and what each was worth, in [0, 1]; the outfits are drawn, with all of their blanks.

    `fitb` is also judged per category with at least 20 blanks.
    """
    row = {name: index for index, name in enumerate(sorted({q.outfit for asked, _ in credits.values() for q in asked}))}
    named = dict(credits)
    asked, worth = named["fitb"]
    sizes = {}
    for category in sorted({question.category for question in asked}):
        chosen = [index for index, question in enumerate(asked) if question.category == category]
        if len(chosen) >= _MIN_QUESTIONS:
            sizes[f"category {category.value}"] = len(chosen)
            named[f"category {category.value}"] = ([asked[index] for index in chosen], worth[chosen])
    rows = {
        name: np.array([row[question.outfit] for question in of], dtype=np.int64) for name, (of, _) in named.items()
    }

    def measure(counts: np.ndarray) -> dict[str, float]:
        weights = {name: counts[rows[name]] for name in named}
        return {
            name: float(values @ weights[name] / weights[name].sum()) if weights[name].sum() else float("nan")
            for name, (_, values) in named.items()
        }

    return JudgedCases(unit="outfits", cases=tuple(row), measure=measure, sizes=sizes)


class CachedOutfitModel:
    """The served model, which encodes each garment once, however many questions name it.

    Images are opened to be encoded and closed again: of a garment only its item vector is kept.
    """

    def __init__(self, model: OutfitModel, rows: Mapping[str, ItemRow]) -> None:
        self._model, self._rows = model, rows
        self._vectors = model.encode([])
        self._index: dict[str, int] = {}

    def score(self, outfits: Sequence[Sequence[str]]) -> np.ndarray:
        indices = self._indices(outfits)
        return np.asarray(self._model.score_encoded(self._vectors, indices))

    def queries(self, contexts: Sequence[Sequence[str]], targets: Sequence[Category]) -> np.ndarray:
        indices = self._indices(contexts)
        return self._model.queries_encoded(self._vectors, indices, targets)

    def embed(self, items: Sequence[str]) -> np.ndarray:
        (indices,) = self._indices([items])
        return self._model.embed_encoded(self._vectors[indices])

    def _indices(self, outfits: Sequence[Sequence[str]]) -> list[list[int]]:
        """Outfits as rows of the item vectors, once the garments that are new have theirs."""
        new = [name for name in dict.fromkeys(chain.from_iterable(outfits)) if name not in self._index]
        if new:
            vectors = self._model.encode(open_item(self._rows[name]) for name in new)
            self._vectors = torch.cat([self._vectors, vectors])
            self._index.update(zip(new, count(len(self._index))))
        return [[self._index[name] for name in outfit] for outfit in outfits]
