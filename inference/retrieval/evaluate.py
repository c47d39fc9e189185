"""How well the index's searches do on a public test collection: vectors alone, full text alone, and both fused.

Documents are cut, embedded and searched as knowledge pages are, in an index in a temporary folder. A document's place is
that of its best chunk. All three rankings come from the same candidates, so that their difference is the fusion's.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
from lancedb.table import Table
from rich.console import Console
from rich.progress import track
from rich.table import Table as ConsoleTable

from aura.scratch import scratch_folder
from inference.retrieval.chunks import ANY, FACETS, Page
from inference.retrieval.collection import Collection, Document
from inference.retrieval.hybrid import Candidates, find_candidates, fused
from inference.retrieval.metrics import bootstrap_interval, ndcg_at, recall_at, reciprocal_rank
from inference.retrieval.settings import RetrievalSettings, SearchSettings
from inference.retrieval.sync import sync_table
from inference.retrieval.tables import TextEmbedderLike, knowledge_source

DEPTH = 100
"""Documents of a ranking that any metric looks at."""
VECTOR, TEXT, HYBRID = "vector", "full text", "hybrid"
METRICS: dict[str, Callable[[Sequence[str], dict[str, float]], float]] = {
    "ndcg_at_10": lambda ranking, grades: ndcg_at(10, ranking, grades),
    "recall_at_5": lambda ranking, grades: recall_at(5, ranking, grades),
    "recall_at_10": lambda ranking, grades: recall_at(10, ranking, grades),
    "recall_at_100": lambda ranking, grades: recall_at(DEPTH, ranking, grades),
    "mrr_at_10": lambda ranking, grades: reciprocal_rank(10, ranking, grades),
}
_CHUNKS_PER_DOCUMENT = 3
"""Chunks that are looked at per wanted document, until that turns out to be too few."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Mean over the queries, and its 95 % bootstrap interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was found.

    Attributes:
        metrics: search to metric to its mean, in [0, 1].
        gains: part (`vector`, `full text`) to metric to the hybrid's mean minus the part's, paired by query.
    """

    documents: int
    chunks: int
    queries: int
    notes: list[str]
    metrics: dict[str, dict[str, Estimate]]
    gains: dict[str, dict[str, Estimate]]


def evaluate(collection: Collection, settings: RetrievalSettings, embedder: TextEmbedderLike) -> Evaluation:
    """Rank the documents for every query and compare with the judgements.

    Raises:
        DataError: two documents whose ids differ only in what the id of a chunk leaves out.
    """
    with scratch_folder(Path(tempfile.gettempdir()), "aura-evaluate-", marked_only=True) as folder:
        connection = lancedb.connect(folder)
        pages = [_page(document) for document in collection.documents.values()]
        source = knowledge_source(pages, settings.chunk_max_words, embedder)
        sync_table(connection, source, settings)
        rankings = _rankings(connection.open_table(source.name), collection, settings, embedder)
    values = {
        search: {
            name: np.array(
                [
                    metric(ranking, collection.grades[query])
                    for query, ranking in zip(collection.queries, ranked, strict=True)
                ]
            )
            for name, metric in METRICS.items()
        }
        for search, ranked in rankings.items()
    }
    judge = settings.judge

    def estimate(of_queries: np.ndarray) -> Estimate:
        low, high = bootstrap_interval(of_queries, judge.bootstrap_samples, judge.seed)
        return Estimate(mean=float(of_queries.mean()), low=low, high=high)

    return Evaluation(
        documents=len(pages),
        chunks=len(source.rows),
        queries=len(collection.queries),
        notes=collection.notes,
        metrics={search: {name: estimate(found) for name, found in rows.items()} for search, rows in values.items()},
        gains={
            part: {name: estimate(values[HYBRID][name] - values[part][name]) for name in METRICS}
            for part in (VECTOR, TEXT)
        },
    )


def show(evaluation: Evaluation, console: Console) -> None:
    """Print two tables that fit into 80 columns."""
    searches = ConsoleTable(
        title=f"{evaluation.queries} queries, {evaluation.documents} documents in {evaluation.chunks} chunks (95 % interval)"
    )
    gains = ConsoleTable(title="hybrid minus its parts (95 % interval, paired by query)")
    for table, columns in ((searches, evaluation.metrics), (gains, evaluation.gains)):
        table.add_column("")
        for column in columns:
            table.add_column(column if table is searches else f"hybrid - {column}", justify="right", no_wrap=True)
    for name in METRICS:
        label = name.replace("_at_", "@")
        shown = [rows[name] for rows in evaluation.metrics.values()]
        searches.add_row(label, *(f"{value.mean:.3f} ({value.low:.2f}-{value.high:.2f})" for value in shown))
        shown = [rows[name] for rows in evaluation.gains.values()]
        gains.add_row(label, *(f"{value.mean:+.3f} ({value.low:+.3f} to {value.high:+.3f})" for value in shown))
    console.print(searches)
    console.print(gains)
    for note in evaluation.notes:
        console.print(f"note: {note}", markup=False)


def _page(document: Document) -> Page:
    """A document as a knowledge page; a line in it that looks like a heading of Markdown is none."""
    text = " ".join(document.text.split()).lstrip("#") or document.title
    facets: dict[str, Any] = dict.fromkeys(FACETS, ANY)
    return Page(slug=document.id, title=document.title, body=text, **facets)


def _rankings(
    table: Table, collection: Collection, settings: RetrievalSettings, embedder: TextEmbedderLike
) -> dict[str, list[list[str]]]:
    """Search to the best documents of each query."""
    both = SearchSettings(candidates=settings.search.candidates)
    texts = list(collection.queries.values())
    vectors = embedder.encode(texts)
    chunks = table.count_rows()
    rankings: dict[str, list[list[str]]] = {VECTOR: [], TEXT: [], HYBRID: []}
    console = Console(stderr=True)
    progress = track(texts, "searching", console=console, disable=not console.is_terminal)
    for query, vector in zip(progress, vectors, strict=True):
        depth = max(_CHUNKS_PER_DOCUMENT * DEPTH, settings.search.candidates)
        while True:
            candidates = find_candidates(table, query, vector, both, depth, ["slug"], None)
            by_vector = _documents(candidates, -candidates.vector_rank)
            if len(by_vector) >= DEPTH or depth >= chunks:
                break
            depth *= 2
        rankings[VECTOR].append(by_vector)
        rankings[TEXT].append(_documents(candidates, -candidates.text_rank))
        rankings[HYBRID].append(_documents(candidates, fused(candidates, settings.search)))
    return rankings


def _documents(candidates: Candidates, relevance: np.ndarray) -> list[str]:
    """Distinct documents in the order of their best chunk, without those that the search did not find."""
    slugs = candidates.rows["slug"].to_pylist()
    order = [place for place in np.argsort(-relevance, kind="stable") if np.isfinite(relevance[place])]
    return list(dict.fromkeys(slugs[place] for place in order))[:DEPTH]
