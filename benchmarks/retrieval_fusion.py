"""Which search finds the right knowledge page: by meaning, by words, or both fused, and at which chunk length.

    python benchmarks/retrieval_fusion.py [--knowledge data/knowledge] [--chunk-words 60 100 140 200] [--misses]

Builds a throw-away index of the repository's pages per chunk length and runs every labelled query with every search. Prints
means with 95 % bootstrap intervals, milliseconds per query, and the machine that they were measured on. The queries that
choose a search also judge it, so the last line shows the gain without that bias: the search with the best nDCG@10 on one half
of the queries, measured on the other half, over many random halves.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
import time
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import lancedb
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from aura.paths import repo_root
from aura.prepared_rows import QueryRow
from inference.colour_texture import ColourTextureDescriptor
from inference.retrieval.chunks import read_pages
from inference.retrieval.judge import (
    DEPTH,
    MRR,
    NDCG,
    RECALL,
    Judgement,
    judge,
    ndcg_at,
    read_queries,
    recall_at,
)
from inference.retrieval.releases import Release, now
from inference.retrieval.search import Index, open_release, text_embedder_for
from inference.retrieval.settings import RetrievalSettings, SearchSettings
from inference.retrieval.sync import sync_table
from inference.retrieval.tables import catalog_source, knowledge_source

CONFIGURED = "as configured"
SEARCHES = {
    "vector only": SearchSettings(text_weight=0),
    "full text only": SearchSettings(vector_weight=0),
    "hybrid 1 : 1": SearchSettings(vector_weight=1, text_weight=1),
    "hybrid 2 : 1": SearchSettings(vector_weight=2, text_weight=1),
    "hybrid 4 : 1": SearchSettings(vector_weight=4, text_weight=1),
    "hybrid 1 : 2": SearchSettings(vector_weight=1, text_weight=2),
    "hybrid 2 : 1, k = 10": SearchSettings(vector_weight=2, text_weight=1, rrf_k=10),
    "hybrid 2 : 1, 20 candidates": SearchSettings(vector_weight=2, text_weight=1, candidates=20),
    CONFIGURED: SearchSettings(),
}


def build_snapshot(folder: Path, knowledge: Path, chunk_words: int) -> tuple[lancedb.DBConnection, Release, int]:
    """A throw-away index of the pages with an empty catalog; also the number of chunks."""
    settings = RetrievalSettings(chunk_max_words=chunk_words)
    text_embedder, images = text_embedder_for(settings.text_embedder), ColourTextureDescriptor()
    connection = lancedb.connect(folder)
    pages = knowledge_source(read_pages(knowledge), chunk_words, text_embedder)
    release = Release(
        number=1,
        knowledge_version=sync_table(connection, pages, settings).version,
        catalog_version=sync_table(connection, catalog_source([], folder, text_embedder, images), settings).version,
        text_embedder=text_embedder.reference,
        image_embedder=images.reference,
        search=settings.search,
        metrics={},
        built_at=now(),
    )
    return connection, release, len(pages.rows)


def judge_search(
    connection: lancedb.DBConnection, release: Release, queries: list[QueryRow]
) -> tuple[Judgement, float]:
    """Metrics, and milliseconds per query with its embedding."""
    snapshot = open_release(connection, release, text_embedder_for, lambda _: ColourTextureDescriptor())
    index = Index(connection, snapshot)
    index.rank_pages([query.query for query in queries[:5]], DEPTH)  # warms the caches
    started = time.perf_counter()
    judged = judge(queries, lambda texts: index.rank_pages(texts, DEPTH), RetrievalSettings().judge)
    return judged, 1000 * (time.perf_counter() - started) / len(queries)


def held_out_recall(judged: dict[str, Judgement], queries: list[QueryRow], halvings: int = 200) -> float:
    """Mean recall@5 on the half of the queries that did not choose the search."""
    judgements = [judgement for name, judgement in judged.items() if name != CONFIGURED]
    ndcg, recall = (
        np.array(
            [
                [metric(k, ranking, query.relevant) for ranking, query in zip(judgement.rankings, queries, strict=True)]
                for judgement in judgements
            ]
        )
        for metric, k in ((ndcg_at, DEPTH), (recall_at, 5))
    )
    rng = np.random.default_rng(0)
    found = []
    for _ in range(halvings):
        order = rng.permutation(len(queries))
        choosing, judging = order[: len(order) // 2], order[len(order) // 2 :]
        best = int(ndcg[:, choosing].mean(axis=1).argmax())
        found.append(recall[best, judging].mean())
    return float(np.mean(found))


def describe_machine() -> str:
    memory_gb = psutil.virtual_memory().total / 2**30
    return (
        f"{platform.machine()}, {psutil.cpu_count()} cores, {memory_gb:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, lancedb {version('lancedb')}, "
        f"sentence-transformers {version('sentence-transformers')}, torch {version('torch')}"
    )


def show_misses(console: Console, judged: Judgement, queries: list[QueryRow]) -> None:
    """Queries whose page is not among the first five."""
    for query, ranking in zip(queries, judged.rankings, strict=True):
        if not set(ranking[:5]) & set(query.relevant):
            console.print(f"  {query.query!r}\n    wanted {', '.join(query.relevant)}; got {', '.join(ranking[:5])}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knowledge", type=Path, default=repo_root() / "data" / "knowledge")
    parser.add_argument(
        "--chunk-words", type=int, nargs="+", default=[60, 100, RetrievalSettings().chunk_max_words, 200]
    )
    parser.add_argument("--misses", action="store_true", help="list what the configured search does not find")
    options = parser.parse_args()
    console = Console(width=130)
    slugs = {page.slug for page in read_pages(options.knowledge)}
    queries = read_queries(options.knowledge / "queries", slugs)
    table = Table(title=f"{len(queries)} queries over {len(slugs)} pages")
    for heading in ("chunk words", "chunks", "search", "recall@5", "nDCG@10", "MRR@10", "ms/query"):
        table.add_column(heading, justify="left" if heading == "search" else "right")
    held_out: dict[int, float] = {}
    for chunk_words in sorted(set(options.chunk_words)):
        with tempfile.TemporaryDirectory() as folder:
            connection, release, chunks = build_snapshot(Path(folder), options.knowledge, chunk_words)
            judgements: dict[str, Judgement] = {}
            for name, search in SEARCHES.items():
                judged, milliseconds = judge_search(connection, replace(release, search=search), queries)
                cells = [
                    f"{judged.metrics[metric]:.3f} ({judged.intervals[metric][0]:.2f}-{judged.intervals[metric][1]:.2f})"
                    for metric in (RECALL, NDCG, MRR)
                ]
                judgements[name] = judged
                table.add_row(str(chunk_words), str(chunks), name, *cells, f"{milliseconds:.1f}")
            table.add_section()
        held_out[chunk_words] = held_out_recall(judgements, queries)
        if options.misses and chunk_words == RetrievalSettings().chunk_max_words:
            show_misses(console, judged, queries)
    console.print(table)
    for chunk_words, value in held_out.items():
        console.print(
            f"chosen on one half of the queries, measured on the other: {chunk_words} words, recall@5 {value:.3f}"
        )
    console.print(describe_machine())


if __name__ == "__main__":
    main()
