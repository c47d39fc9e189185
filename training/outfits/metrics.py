"""Metrics of one model on one question set. Training (network, cached tensors) and evaluation (`OutfitModel`) share them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torchmetrics.functional.classification import binary_auroc, binary_calibration_error

from aura.taxonomy import Category
from training.outfits.questions import CANDIDATES, Question, QuestionSet

RECALL_AT = (1, 5, 10)
BINS = 10
"""Of equal width, for calibration."""


class EvaluatedModel(Protocol):
    """What the metrics ask of a model; garments are named by item id."""

    def score(self, outfits: Sequence[Sequence[str]]) -> np.ndarray:
        """Float `(B,)`, higher for better outfits."""

    def queries(self, contexts: Sequence[Sequence[str]], targets: Sequence[Category]) -> np.ndarray:
        """Float `(B, E)` of norm 1."""

    def embed(self, items: Sequence[str]) -> np.ndarray:
        """Float `(N, E)` of norm 1."""


def area_under_roc(scores: np.ndarray, true: Sequence[bool]) -> float:
    """Chance that a true outfit scores above a corrupted one; 0.5 is guessing, and the answer without any."""
    return float(binary_auroc(*_as_tensors(scores, true))) if true else 0.5


def calibration_error(probabilities: np.ndarray, true: Sequence[bool]) -> float:
    """Expected calibration error (arXiv 1706.04599, equation 3) over ten bins: how far a score is from the share of true outfits.

    0 without outfits.
    """
    return float(binary_calibration_error(*_as_tensors(probabilities, true), n_bins=BINS)) if true else 0.0


def odds_ratio(scores: np.ndarray, true_scores: np.ndarray) -> float:
    """Median odds of some outfits over those of true ones; NaN when either has none."""
    if not len(scores) or not len(true_scores):
        return float("nan")
    median, true_median = (float(np.clip(np.median(each), 1e-9, 1 - 1e-9)) for each in (scores, true_scores))
    return median / (1 - median) / (true_median / (1 - true_median))


def _as_tensors(scores: np.ndarray, true: Sequence[bool]) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.from_numpy(np.asarray(scores, dtype=np.float64)), torch.tensor(true, dtype=torch.long)


def fitb_choices(model: EvaluatedModel, questions: Sequence[Question]) -> np.ndarray:
    """int `(Q,)`: the candidate that makes the best outfit, by compatibility score."""
    if not questions:
        return np.zeros(0, dtype=np.int64)
    scores = model.score([outfit for question in questions for outfit in question.completed()])
    return np.asarray(scores).reshape(-1, CANDIDATES).argmax(axis=1)


def fitb_choices_by_query(model: EvaluatedModel, questions: Sequence[Question]) -> np.ndarray:
    """int `(Q,)`: the candidate nearest to the query, as retrieval would choose."""
    if not questions:
        return np.zeros(0, dtype=np.int64)
    distinct = sorted({item for question in questions for item in question.candidates})
    embeddings = dict(zip(distinct, model.embed(distinct), strict=True))
    queries = model.queries([question.context for question in questions], [question.category for question in questions])
    candidates = np.stack([[embeddings[item] for item in question.candidates] for question in questions])
    return np.einsum("qce,qe->qc", candidates, queries).argmax(axis=1)


def right(choices: np.ndarray, questions: Sequence[Question]) -> np.ndarray:
    """bool `(Q,)`: which choices are the true item."""
    return choices == np.asarray([question.answer for question in questions], dtype=np.int64)


def mean(values: Iterable[float]) -> float:
    """Mean; 0 of nothing."""
    listed = list(values)
    return float(np.mean(listed)) if listed else 0.0


def by_category(values: np.ndarray, questions: Sequence[Question]) -> dict[str, float]:
    """Mean of a value per question, by the category of the blank."""
    groups: dict[str, list[float]] = defaultdict(list)
    for value, question in zip(values, questions, strict=True):
        groups[question.category.value].append(float(value))
    return {category: float(np.mean(group)) for category, group in sorted(groups.items())}


def retrieval_ranks(model: EvaluatedModel, question_set: QuestionSet) -> np.ndarray:
    """int `(Q,)`: rank (from 0) of the true garment among all items of its category that are not in the outfit already.

    Of equally near ones half count as nearer, so that a model that embeds everything alike does not look perfect.
    """
    questions = question_set.fitb["same_category"]
    ranks = np.zeros(len(questions), dtype=np.int64)
    for category in sorted({question.category for question in questions}):
        indices = [index for index, question in enumerate(questions) if question.category == category]
        pool = question_set.pools[category]
        column = {item: number for number, item in enumerate(pool)}
        embeddings = model.embed(pool)
        similarity = (
            model.queries([questions[index].context for index in indices], [category] * len(indices)) @ embeddings.T
        )
        for index, row in zip(indices, similarity, strict=True):
            for given in questions[index].context:
                if given in column:
                    row[column[given]] = -np.inf
            true = row[column[questions[index].true_item]]
            ranks[index] = int((row > true).sum()) + (int((row == true).sum()) - 1) // 2
    return ranks


def recall(ranks: np.ndarray) -> dict[str, float]:
    """`recall_at_1`, ... over all questions."""
    return {f"recall_at_{k}": mean(ranks < k) for k in RECALL_AT}
