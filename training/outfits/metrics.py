"""Metrics of one model on one question set. Training (network, cached tensors) and evaluation (`OutfitModel`) share them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
import torch
from torchmetrics.functional.classification import binary_auroc

from aura.taxonomy import Category
from training.outfits.questions import CANDIDATES, Question, QuestionSet

RECALL_AT = (1, 5, 10)


class EvaluatedModel(Protocol):
    """What the metrics ask of a model; garments are named by item id."""

    def score(self, outfits: Sequence[Sequence[str]]) -> np.ndarray:
        """Float `(B,)`, higher for better outfits."""

    def queries(self, contexts: Sequence[Sequence[str]], targets: Sequence[Category]) -> np.ndarray:
        """Float `(B, E)` of norm 1."""

    def embed(self, items: Sequence[str]) -> np.ndarray:
        """Float `(N, E)` of norm 1."""


def compatibility_auc(model: EvaluatedModel, question_set: QuestionSet) -> float:
    """Chance that a true outfit scores above a corrupted one; 0.5 is guessing."""
    if not question_set.true_outfits:
        return 0.5
    scores = model.score([*question_set.true_outfits, *question_set.corrupted_outfits])
    labels = [1] * len(question_set.true_outfits) + [0] * len(question_set.corrupted_outfits)
    return float(binary_auroc(torch.from_numpy(np.asarray(scores, dtype=np.float64)), torch.tensor(labels)))


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
