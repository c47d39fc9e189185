"""Metrics of a chat model from the nats of its answers: probability per character, loss reduction, slices."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap

from training.chat.data import Case
from training.judged import JudgedCases

_MIN_SLICE_ANSWERS = 3
_RESAMPLES = 1000


def char_probability(cases: Sequence[Case], nats: Sequence[float]) -> float:
    """Geometric mean of the probability per character of the answers."""
    return math.exp(-sum(nats) / sum(len(case.messages[-1]["content"]) for case in cases))


def loss_reduction_interval(
    cases: Sequence[Case], base_nats: Sequence[float], nats: Sequence[float], seed: int
) -> tuple[float, float]:
    """95 % interval of the loss reduction over the conversations: percentile bootstrap with `seed`.

    Of a single conversation, which cannot be resampled, both ends are the loss reduction itself.
    """
    rows = {name: row for row, name in enumerate(dict.fromkeys(case.conversation for case in cases))}
    before, after = np.zeros(len(rows)), np.zeros(len(rows))
    for case, base_value, value in zip(cases, base_nats, nats, strict=True):
        before[rows[case.conversation]] += base_value
        after[rows[case.conversation]] += value
    if len(rows) == 1:
        return (_reduction(before, after).item(),) * 2
    interval = bootstrap(
        (before, after), _reduction, paired=True, vectorized=True, n_resamples=_RESAMPLES, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return float(interval.low), float(interval.high)


def _reduction(before: np.ndarray, after: np.ndarray, axis: int = -1) -> np.ndarray:
    return 1 - after.sum(axis=axis) / before.sum(axis=axis)


def judged_answers(cases: Sequence[Case], nats: Sequence[float], base_nats: Sequence[float]) -> JudgedCases:
    """`char_probability` and `loss_reduction`, and the former per slice; the conversations are drawn, with all their answers."""
    row = {name: index for index, name in enumerate(dict.fromkeys(case.conversation for case in cases))}
    rows = np.array([row[case.conversation] for case in cases], dtype=np.int64)
    values, base_values = np.asarray(nats, dtype=np.float64), np.asarray(base_nats, dtype=np.float64)
    characters = np.array([len(case.messages[-1]["content"]) for case in cases], dtype=np.float64)
    slices = {f"{kind} {name}": members for kind, of in slice_members(cases).items() for name, members in of.items()}

    def probability(weights: np.ndarray, members: Sequence[int] | slice) -> float:
        of_text = weights[members] @ characters[members]
        return float(np.exp(-(weights[members] @ values[members]) / of_text)) if of_text else float("nan")

    def measure(counts: np.ndarray) -> dict[str, float]:
        weights = counts[rows].astype(np.float64)
        return {
            "char_probability": probability(weights, slice(None)),
            "loss_reduction": float(1 - weights @ values / (weights @ base_values)),
            **{name: probability(weights, members) for name, members in slices.items()},
        }

    return JudgedCases(
        unit="conversations", cases=tuple(row), measure=measure,
        sizes={name: len(members) for name, members in slices.items()},
    )  # fmt: skip


def slice_members(cases: Sequence[Case]) -> dict[str, dict[str, list[int]]]:
    """Indices of the answers per topic and per turn (first or later), for slices of at least three answers."""
    rows: dict[str, dict[str, list[int]]] = {"topic": defaultdict(list), "turn": defaultdict(list)}
    for index, case in enumerate(cases):
        rows["topic"][case.topic].append(index)
        rows["turn"]["later" if case.turn else "first"].append(index)
    return {
        kind: {name: of[name] for name in sorted(of) if len(of[name]) >= _MIN_SLICE_ANSWERS}
        for kind, of in rows.items()
    }
