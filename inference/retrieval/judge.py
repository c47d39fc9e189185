"""How good a ranking is, and whether a candidate index may be served.

Relevance is by page: a ranking is the list of distinct page slugs in the order of their best chunk. All metrics are
means over the labelled queries; the intervals are percentile bootstrap over queries (Efron and Tibshirani, 1993,
chapter 13).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import bootstrap

from aura.errors import DataError
from inference.retrieval.settings import JudgeSettings

RECALL, NDCG, MRR = "recall_at_5", "ndcg_at_10", "mrr_at_10"
DEPTH = 10
"""Pages of a ranking that any metric looks at."""


@dataclass(frozen=True)
class LabelledQuery:
    """A question as a user would type it, and the slugs of the pages that answer it."""

    query: str
    relevant: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Metrics in [0, 1] by name, with 95 % intervals, and the ranking that each query got."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    rankings: tuple[tuple[str, ...], ...]


def read_queries(path: Path, known_slugs: Collection[str]) -> list[LabelledQuery]:
    """Labelled queries of a JSON Lines file, or of all `*.jsonl` files of a folder.

    Raises:
        DataError: nothing there, broken lines, or labels that name unknown pages (all of them are listed).
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    queries: list[LabelledQuery] = []
    problems: list[str] = []
    for file in files:
        if not file.is_file():
            raise DataError(f"no labelled queries: {file} is missing", hint="run the stage prepare first")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if line.strip():
                try:
                    queries.append(_parse(line, known_slugs))
                except DataError as error:
                    problems.append(f"  - {file.name}, line {number}: {error.message}")
    if problems:
        raise DataError(f"{len(problems)} broken labelled queries:\n" + "\n".join(problems), hint="correct these lines")
    if not queries:
        raise DataError(f"no labelled queries in {path}", hint="an index is only served when it can be judged")
    return queries


def judge(
    queries: Sequence[LabelledQuery], rank: Callable[[Sequence[str]], Sequence[Sequence[str]]], settings: JudgeSettings
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


def _parse(line: str, known_slugs: Collection[str]) -> LabelledQuery:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"not JSON ({error})") from error
    if not isinstance(values, dict) or set(values) != {"query", "relevant"}:
        raise DataError('must be an object with exactly the keys "query" and "relevant"')
    query, relevant = values["query"], values["relevant"]
    if not isinstance(query, str) or not query.strip():
        raise DataError(f"query must be a text that is not empty, not {query!r}")
    if not isinstance(relevant, list) or not relevant or not all(isinstance(slug, str) for slug in relevant):
        raise DataError(f"relevant must be a list of slugs, not {relevant!r}")
    unknown = sorted(set(relevant) - set(known_slugs))
    if unknown:
        raise DataError(f"no such page: {', '.join(unknown)}")
    return LabelledQuery(query=query, relevant=tuple(dict.fromkeys(relevant)))
