"""Metrics of a ranking, and the interval of their mean over queries.

Definitions are trec_eval's: gains are linear in the grade, what is not judged is not relevant, and the ideal ranking holds
all relevant documents of the query, found or not.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from scipy.stats import bootstrap


def recall_at(k: int, ranking: Sequence[str], relevant: Collection[str]) -> float:
    """Share of the relevant ones among the first `k`."""
    return len(set(ranking[:k]) & set(relevant)) / len(relevant)


def ndcg_at(k: int, ranking: Sequence[str], relevant: Collection[str] | Mapping[str, float]) -> float:
    """Discounted gain (grade / log2(rank + 1)) over that of a perfect ranking (Jaervelin and Kekaelaeinen, TOIS 2002).

    Args:
        relevant: grades above 0, or the relevant ones, each of grade 1.
    """
    grades = relevant if isinstance(relevant, Mapping) else dict.fromkeys(relevant, 1.0)
    ideal = sorted(grades.values(), reverse=True)[:k]
    return _discounted([grades.get(name, 0.0) for name in ranking[:k]]) / _discounted(ideal)


def reciprocal_rank(k: int, ranking: Sequence[str], relevant: Collection[str]) -> float:
    """1 / rank of the first relevant one, 0 when none is among the first `k`."""
    return next((1 / rank for rank, name in enumerate(ranking[:k], start=1) if name in relevant), 0.0)


def bootstrap_interval(values: Sequence[float] | np.ndarray, samples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean (Efron and Tibshirani, 1993, chapter 13).

    The same seed gives the same interval. A single value is its own interval.
    """
    if len(values) == 1:
        return float(values[0]), float(values[0])
    interval = bootstrap(
        (np.asarray(values, dtype=np.float64),), np.mean, n_resamples=samples, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return float(interval.low), float(interval.high)


def _discounted(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
