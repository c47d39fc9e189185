"""Metrics of a chat model from the nats of its answers: probability per character, loss reduction, slices."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap

from training.chat.data import Case

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
