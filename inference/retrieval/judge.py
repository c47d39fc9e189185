"""Metrics of a ranking, and whether a candidate index may be served.

Relevance is by page: a ranking is the list of distinct page slugs in the order of their best chunk. All metrics are
means over the labelled queries; the intervals are percentile bootstrap over queries (Efron and Tibshirani, 1993,
chapter 13).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap

from aura.errors import DataError
from aura.prepared_rows import QueryRow, good_rows, scan_rows
from aura.problems import Problems
from inference.retrieval.settings import JudgeSettings

RECALL, NDCG, MRR = "recall_at_5", "ndcg_at_10", "mrr_at_10"
DEPTH = 10
"""Pages of a ranking that any metric looks at."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Metrics in [0, 1] by name, with 95 % intervals, and the ranking that each query got."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    rankings: tuple[tuple[str, ...], ...]


def read_queries(path: Path, known_slugs: Collection[str]) -> list[QueryRow]:
    """Labelled queries of a JSON Lines file, or of all `*.jsonl` files of a folder; no page is named twice in a row.

    Raises:
        DataError: nothing there, broken rows, or labels that name unknown pages (the first twenty are listed).
    """
    queries: list[QueryRow] = []
    problems = Problems()
    for file in sorted(path.glob("*.jsonl")) if path.is_dir() else [path]:
        for number, row in good_rows(scan_rows(file, QueryRow, "run the stage prepare first"), file.name, problems):
            unknown = sorted(set(row.relevant) - set(known_slugs))
            if unknown:
                problems.add(f"{file.name}, row {number}", f"relevant: no such page: {', '.join(unknown)}")
            queries.append(row.model_copy(update={"relevant": tuple(dict.fromkeys(row.relevant))}))
    problems.raise_if_any("the labelled queries", hint="correct these rows")
    if not queries:
        raise DataError(f"no labelled queries in {path}", hint="an index is only served when it can be judged")
    return queries


def judge(
    queries: Sequence[QueryRow], rank: Callable[[Sequence[str]], Sequence[Sequence[str]]], settings: JudgeSettings
) -> Judgement:
    """Metrics of an index.

    Args:
        rank: slugs of the best pages, best first, for each of the given query texts.
    """
    rankings = tuple(tuple(ranking) for ranking in rank([query.query for query in queries]))
    per_query = {
        RECALL: [recall_at(5, ranking, query.relevant) for ranking, query in zip(rankings, queries, strict=True)],
        NDCG: [ndcg_at(DEPTH, ranking, query.relevant) for ranking, query in zip(rankings, queries, strict=True)],
        MRR: [
            reciprocal_rank(DEPTH, ranking, query.relevant) for ranking, query in zip(rankings, queries, strict=True)
        ],
    }
    intervals = {
        name: bootstrap_interval(values, settings.bootstrap_samples, settings.seed)
        for name, values in per_query.items()
    }
    return Judgement(
        metrics={name: float(np.mean(values)) for name, values in per_query.items()},
        intervals=intervals,
        rankings=rankings,
    )


def objections(candidate: Judgement, serving: Judgement | None, settings: JudgeSettings) -> list[str]:
    """Why the candidate must not be served; empty when it may.

    Being as good as the served index is enough, unlike for models: the candidate holds the newer pages.
    """
    found = []
    for name, floor in ((RECALL, settings.recall_at_5_floor), (NDCG, settings.ndcg_at_10_floor)):
        value = candidate.metrics[name]
        if value < floor:
            found.append(f"{name} {value:.3f} is below the floor {floor:.3f}")
        if serving is not None and value < serving.metrics[name] - settings.tolerance:
            found.append(
                f"{name} {value:.3f} is more than {settings.tolerance:.3f} below the served {serving.metrics[name]:.3f}"
            )
    return found


def recall_at(k: int, ranking: Sequence[str], relevant: Sequence[str]) -> float:
    """Share of the relevant pages among the first `k`."""
    return len(set(ranking[:k]) & set(relevant)) / len(relevant)


def ndcg_at(k: int, ranking: Sequence[str], relevant: Sequence[str]) -> float:
    """Discounted gain (1 / log2(rank + 1) for each relevant page) over that of a perfect ranking."""
    gain = sum(1 / math.log2(rank + 1) for rank, slug in enumerate(ranking[:k], start=1) if slug in relevant)
    ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(relevant)) + 1))
    return gain / ideal


def reciprocal_rank(k: int, ranking: Sequence[str], relevant: Sequence[str]) -> float:
    """1 / rank of the first relevant page, 0 when none is among the first `k`."""
    return next((1 / rank for rank, slug in enumerate(ranking[:k], start=1) if slug in relevant), 0.0)


def bootstrap_interval(values: Sequence[float], samples: int, seed: int) -> tuple[float, float]:
    """95 % percentile interval of the mean; the same seed gives the same interval. A single value is its own interval."""
    if len(values) == 1:
        return float(values[0]), float(values[0])
    interval = bootstrap(
        (np.asarray(values, dtype=np.float64),), np.mean, n_resamples=samples, method="percentile",
        rng=np.random.default_rng(seed),
    ).confidence_interval  # fmt: skip
    return float(interval.low), float(interval.high)
