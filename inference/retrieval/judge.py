"""Metrics of an index over labelled queries, and whether a candidate may be served.

A chat sends the first passages of a search, so what decides is what stands among those: a passage of a page that answers, and of
the section that does, where the labels say which. Recall, nDCG and reciprocal rank are of the ranking of pages, which is the
list of distinct slugs in the order of their best chunk. All metrics are means over the labelled queries.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aura.errors import DataError
from aura.prepared_rows import QueryRow, good_rows, scan_rows
from aura.problems import Problems
from inference.retrieval.chunks import Page, Section, headings
from inference.retrieval.metrics import bootstrap_interval, ndcg_at, recall_at, reciprocal_rank
from inference.retrieval.settings import JudgeSettings

RECALL, NDCG, MRR = "recall_at_5", "ndcg_at_10", "mrr_at_10"
PAGE_HIT = "page_hit_at_3"
"""Share of queries with a passage of a relevant page among the first three."""
SECTION_HITS = tuple(f"section_hit_at_{k}" for k in (1, 2, 3))
"""Share of the queries with labelled sections that have a passage of one of them among the first 1, 2, 3."""
DEPTH = 10
"""Pages of a ranking that any metric looks at."""
SENT = 3
"""Passages of a search that the metrics take as sent."""


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Metrics in [0, 1] by name, with 95 % intervals, and the ranking of pages that each query got."""

    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]
    rankings: tuple[tuple[str, ...], ...]


def read_queries(path: Path, pages: Sequence[Page]) -> list[QueryRow]:
    """Labelled queries of a JSON Lines file, or of all `*.jsonl` files of a folder; nothing is named twice in a row.

    Raises:
        DataError: nothing there, broken rows, or labels that name unknown pages or sections (the first twenty are listed).
    """
    known = {page.slug: set(headings(page)) for page in pages}
    queries: list[QueryRow] = []
    problems = Problems()
    for file in sorted(path.glob("*.jsonl")) if path.is_dir() else [path]:
        for number, row in good_rows(scan_rows(file, QueryRow, "run the stage prepare first"), file.name, problems):
            where = f"{file.name}, row {number}"
            if unknown := sorted(set(row.relevant) - set(known)):
                problems.add(where, f"relevant: no such page: {', '.join(unknown)}")
            elif unknown := sorted(set(row.sections) - set().union(*(known[slug] for slug in row.relevant))):
                problems.add(where, f"sections: no such heading in the relevant pages: {', '.join(unknown)}")
            distinct = {name: tuple(dict.fromkeys(getattr(row, name))) for name in ("relevant", "sections")}
            queries.append(row.model_copy(update=distinct))
    problems.raise_if_any("the labelled queries", hint="correct these rows")
    if not queries:
        raise DataError(f"no labelled queries in {path}", hint="an index is only served when it can be judged")
    return queries


def judge(
    queries: Sequence[QueryRow], rank: Callable[[Sequence[str]], Sequence[Sequence[Section]]], settings: JudgeSettings
) -> Judgement:
    """Metrics of an index.

    Args:
        rank: where the best chunks are from, best first, for each of the given query texts.
    """
    found = rank([query.query for query in queries])
    rankings = tuple(tuple(dict.fromkeys(section.slug for section in chunks))[:DEPTH] for chunks in found)
    judged = list(zip(rankings, queries, strict=True))
    sent = [(chunks[:SENT], query) for chunks, query in zip(found, queries, strict=True)]
    per_query = {
        PAGE_HIT: [_hit(passages, query, by_section=False) for passages, query in sent],
        RECALL: [recall_at(5, ranking, query.relevant) for ranking, query in judged],
        NDCG: [ndcg_at(DEPTH, ranking, query.relevant) for ranking, query in judged],
        MRR: [reciprocal_rank(DEPTH, ranking, query.relevant) for ranking, query in judged],
    }
    labelled = [(passages, query) for passages, query in sent if query.sections]
    if labelled:
        for k, name in enumerate(SECTION_HITS, start=1):
            per_query[name] = [_hit(passages[:k], query, by_section=True) for passages, query in labelled]
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
    floors = {PAGE_HIT: settings.page_hit_at_3_floor, SECTION_HITS[-1]: settings.section_hit_at_3_floor}
    for name, floor in floors.items():
        if name not in candidate.metrics:  # no query has its sections labelled
            continue
        value = candidate.metrics[name]
        if value < floor:
            found.append(f"{name} {value:.3f} is below the floor {floor:.3f}")
        if serving is not None and value < serving.metrics[name] - settings.tolerance:
            found.append(
                f"{name} {value:.3f} is more than {settings.tolerance:.3f} below the served {serving.metrics[name]:.3f}"
            )
    return found


def _hit(passages: Sequence[Section], query: QueryRow, *, by_section: bool) -> float:
    """1 when a passage answers the query, else 0."""
    return float(
        any(
            passage.slug in query.relevant and (not by_section or passage.heading in query.sections)
            for passage in passages
        )
    )
