"""Metrics of answers, as functions of how often each question counts.

`truthfulness` is what challenger and champion are compared by: the scoring of CRAG (arXiv 2406.04744, section 4.1) with shares of
key facts: what an answer says of them, 0 where it declines, -1 where it says what it must not or answers something else (no key
fact, and no sentence of a passage that holds one); out of scope 1 where it declines, else -1. A wrong answer costs more than
declining.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from aura.wording import says
from training.chat.questions import JudgedAnswer
from training.judged import JudgedCases

_MIN_SLICE = 3


def answer_metrics(answers: Sequence[JudgedAnswer]) -> dict[str, float]:
    """All metrics, each question counting once; `first_sentence_seconds` and `answer_seconds` are medians."""
    metrics = _Answers(answers).metrics(np.ones(len(answers)))
    first, total = np.median(np.array([answer.seconds for answer in answers]), axis=0)
    return metrics | {"first_sentence_seconds": float(first), "answer_seconds": float(total)}


def judged_answers(answers: Sequence[JudgedAnswer]) -> JudgedCases:
    """The metrics over the questions, and truthfulness per kind of question."""
    columns = _Answers(answers)
    members = slice_members(answers)
    slices = {f"{kind} {name}": np.array(rows) for kind, of in members.items() for name, rows in of.items()}

    def measure(counts: np.ndarray) -> dict[str, float]:
        weights = counts.astype(np.float64)
        return columns.metrics(weights) | {
            name: _mean(columns.truthfulness[rows], weights[rows]) for name, rows in slices.items()
        }

    return JudgedCases(
        unit="questions", cases=tuple(answer.question.row.id for answer in answers), measure=measure,
        sizes={name: len(rows) for name, rows in slices.items()},
    )  # fmt: skip


def slice_members(answers: Sequence[JudgedAnswer]) -> dict[str, dict[str, list[int]]]:
    """Indices of the answers per kind of question, for kinds of at least three."""
    rows: dict[str, list[int]] = defaultdict(list)
    for index, answer in enumerate(answers):
        rows[answer.question.row.kind].append(index)
    return {"kind": {name: rows[name] for name in sorted(rows) if len(rows[name]) >= _MIN_SLICE}}


def slice_truthfulness(answers: Sequence[JudgedAnswer]) -> dict[str, dict[str, float]]:
    """Truthfulness of each slice."""
    values = _Answers(answers).truthfulness
    return {
        kind: {name: float(values[rows].mean()) for name, rows in of.items()}
        for kind, of in slice_members(answers).items()
    }


class _Answers:
    """Columns of some answers; every value float64 (N,)."""

    def __init__(self, answers: Sequence[JudgedAnswer]) -> None:
        def column(values: Sequence[float]) -> np.ndarray:
            return np.array(values, dtype=np.float64)

        self.in_scope = column([answer.question.in_scope for answer in answers])
        self.declined = column([answer.declined for answer in answers])
        self.facts = column([answer.facts for answer in answers])
        self.contradicts = column([answer.contradicts for answer in answers])
        self.sentences = column([0 if answer.declined else len(answer.sentences) for answer in answers])
        self.unsupported = column([answer.unsupported for answer in answers])
        self.rightly_cited = column([answer.rightly_cited for answer in answers])
        self.relevant = column([answer.relevant for answer in answers])
        self.repeated = column([answer.repeated for answer in answers])
        self.beside_the_point = column([answer.beside_the_point for answer in answers])
        answered = 1 - self.declined
        wrong = (self.contradicts > 0) | (self.beside_the_point > 0)
        within = np.where(wrong, -answered, self.facts * answered)
        self.truthfulness = np.where(self.in_scope > 0, within, 2 * self.declined - 1)

    def metrics(self, weights: np.ndarray) -> dict[str, float]:
        """All metrics but the seconds; one that the weights leave undefined is NaN."""
        within, outside = weights * self.in_scope, weights * (1 - self.in_scope)
        answered = within * (1 - self.declined)
        return {
            "truthfulness": _mean(self.truthfulness, weights),
            "fact_recall": _mean(self.facts, within),
            "contradictions": _mean(self.contradicts, within),
            "unsupported": _ratio(weights @ self.unsupported, weights @ self.sentences),
            "correct_refusals": _mean(self.declined, outside),
            "false_refusals": _mean(self.declined, within),
            "citation_precision": _ratio(within @ self.rightly_cited, within @ self.sentences),
            "sentence_relevance": _ratio(within @ self.relevant, within @ self.sentences),
            "answer_relevance": 1 - _mean(self.beside_the_point, answered),
            "repetition": _ratio(weights @ self.repeated, weights @ self.sentences),
            "sentences": _ratio(within @ self.sentences, float(answered.sum())),
        }


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return _ratio(float(weights @ values), float(weights.sum()))


def _ratio(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def facts_in_passages(answers: Sequence[JudgedAnswer]) -> float:
    """Share of the key facts that the passages hold: what no choice of their sentences can exceed."""
    shares: Mapping[str, float] = {
        answer.question.row.id: float(
            np.mean(
                [
                    any(says(passage.text, wording) for passage in answer.question.passages for wording in fact)
                    for fact in answer.question.row.must_hold
                ]
            )
        )
        for answer in answers
        if answer.question.in_scope
    }
    return float(np.mean(list(shares.values()))) if shares else float("nan")
