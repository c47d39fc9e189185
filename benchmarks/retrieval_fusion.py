"""Which search puts an answer among the passages that are sent: by meaning, by words, or both fused, and with which weight.

    python benchmarks/retrieval_fusion.py [--knowledge data/knowledge] [--chunk-words 140] [--misses]

Builds a throw-away index of the repository's pages per chunk length and runs every labelled query with every search. Prints
means with 95 % bootstrap intervals and the machine. The queries that choose a search also judge it, so a second table
cross-validates: in each of many random tenfold splits the search that sends most answers on nine tenths of the queries
is measured on the last tenth. The criterion is the mean of the section hits at 1, 2 and 3.
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import lancedb
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from aura.paths import repo_root
from aura.prepared_rows import QueryRow
from inference.retrieval.chunks import Section, read_pages
from inference.retrieval.hybrid import hybrid_rows
from inference.retrieval.judge import NDCG, PAGE_HIT, RECALL, SECTION_HITS, judge, read_queries
from inference.retrieval.search import text_embedder_for
from inference.retrieval.settings import JudgeSettings, RetrievalSettings, SearchSettings
from inference.retrieval.sync import sync_table
from inference.retrieval.tables import knowledge_source

CONFIGURED = "as configured"
_SCORE_WEIGHTS = (2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 16)
SEARCHES = {
    "vector only": SearchSettings(text_weight=0),
    "full text only": SearchSettings(vector_weight=0),
    **{
        f"ranks {weight} : 1, k = {rank_constant}": SearchSettings(
            fusion="ranks", vector_weight=weight, text_weight=1, rrf_k=rank_constant
        )
        for rank_constant in (5, 10, 20, 60)
        for weight in (1, 2, 4)
    },
    **{
        f"scores {weight} : 1": SearchSettings(fusion="scores", vector_weight=weight, text_weight=1)
        for weight in _SCORE_WEIGHTS
    },
    CONFIGURED: SearchSettings(),
}
FAMILIES = {
    "ranks, before": ["ranks 4 : 1, k = 60"],
    "ranks": [name for name in SEARCHES if name.startswith("ranks")],
    "scores": [name for name in SEARCHES if name.startswith("scores")],
    "any": [name for name in SEARCHES if name != CONFIGURED],
}
"""What the cross-validation may choose from."""

Rankings = dict[str, list[list[Section]]]
"""Search to the sections of each query's best chunks."""


def rank_all(knowledge: Path, chunk_words: int, queries: list[QueryRow]) -> Rankings:
    """What every search finds over an index of the pages in a temporary folder."""
    settings = RetrievalSettings(chunk_max_words=chunk_words)
    embedder = text_embedder_for(settings.text_embedder)
    with tempfile.TemporaryDirectory() as folder:
        connection = lancedb.connect(folder)
        source = knowledge_source(read_pages(knowledge), chunk_words, embedder)
        sync_table(connection, source, settings)
        table = connection.open_table(source.name)
        vectors = embedder.encode([query.query for query in queries])
        return {
            name: [
                [
                    Section(slug=row["slug"], heading=row["heading"])
                    for row in hybrid_rows(table, query.query, vector, search, 50, Section._fields, None)
                ]
                for query, vector in zip(queries, vectors, strict=True)
            ]
            for name, search in SEARCHES.items()
        }


def section_hits(found: list[list[Section]], queries: list[QueryRow]) -> np.ndarray:
    """(queries,) mean over k = 1, 2, 3 of whether a labelled section is among the first k passages."""
    return np.array(
        [
            np.mean(
                [
                    any(slug in query.relevant and heading in query.sections for slug, heading in chunks[:k])
                    for k in (1, 2, 3)
                ]
            )
            for chunks, query in zip(found, queries, strict=True)
        ]
    )


def cross_validated(hits: np.ndarray, folds: int = 10, repeats: int = 50) -> tuple[np.ndarray, Counter[int]]:
    """Hits (queries,) of the searches chosen without the query, and how often each search was chosen.

    Args:
        hits: (searches, queries)
    """
    rng = np.random.default_rng(0)
    held_out = np.zeros(hits.shape[1])
    chosen: Counter[int] = Counter()
    for _ in range(repeats):
        for fold in np.array_split(rng.permutation(hits.shape[1]), folds):
            best = int(np.delete(hits, fold, axis=1).mean(axis=1).argmax())
            held_out[fold] += hits[best, fold] / repeats
            chosen[best] += 1
    return held_out, chosen


def describe_machine() -> str:
    memory_gb = psutil.virtual_memory().total / 2**30
    return (
        f"{platform.machine()}, {psutil.cpu_count()} cores, {memory_gb:.0f} GiB, {platform.system()}, "
        f"Python {platform.python_version()}, lancedb {version('lancedb')}, "
        f"sentence-transformers {version('sentence-transformers')}, torch {version('torch')}"
    )


def show_searches(console: Console, rankings: Rankings, queries: list[QueryRow], title: str) -> None:
    table = Table(title=title)
    names = (*SECTION_HITS, PAGE_HIT, RECALL, NDCG)
    for heading in ("search", *names):
        table.add_column(
            heading.replace("_at_", "@").replace("_", " "), justify="left" if heading == "search" else "right"
        )
    for search, found in rankings.items():
        judged = judge(queries, lambda _, found=found: found, JudgeSettings())
        cells = []
        for name in names:
            low, high = judged.intervals[name]
            cells.append(f"{judged.metrics[name]:.3f} ({low:.2f}-{high:.2f})")
        table.add_row(search, *cells)
    console.print(table)


def show_cross_validation(console: Console, rankings: Rankings, queries: list[QueryRow]) -> None:
    table = Table(title="cross-validated: mean of section hits at 1, 2, 3")
    for heading in (
        "chosen from",
        "on what chose it",
        "held out",
        "gain over before, +- standard error",
        "chosen most often",
    ):
        table.add_column(heading)
    hits = {name: section_hits(found, queries) for name, found in rankings.items()}
    (before,) = FAMILIES["ranks, before"]
    for family, names in FAMILIES.items():
        scores = np.array([hits[name] for name in names])
        held_out, chosen = cross_validated(scores)
        gains = held_out - hits[before]
        error = gains.std(ddof=1) / np.sqrt(len(gains))
        often = ", ".join(f"{names[index]} ({count / chosen.total():.0%})" for index, count in chosen.most_common(3))
        best = scores.mean(axis=1).max()
        table.add_row(family, f"{best:.3f}", f"{held_out.mean():.3f}", f"{gains.mean():+.3f} +- {error:.3f}", often)
    console.print(table)


def show_misses(console: Console, found: list[list[Section]], queries: list[QueryRow]) -> None:
    """Queries without a labelled section among the first three passages."""
    for query, chunks in zip(queries, found, strict=True):
        if not any(slug in query.relevant and heading in query.sections for slug, heading in chunks[:3]):
            wanted = f"{', '.join(query.relevant)}: {', '.join(query.sections)}"
            got = "; ".join(": ".join(section) for section in chunks[:3])
            console.print(f"  {query.query!r}\n    wanted {wanted}\n    got {got}", markup=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--knowledge", type=Path, default=repo_root() / "data" / "knowledge")
    parser.add_argument("--chunk-words", type=int, nargs="+", default=[RetrievalSettings().chunk_max_words])
    parser.add_argument("--misses", action="store_true", help="list what the configured search does not send")
    options = parser.parse_args()
    console = Console(width=150)
    pages = read_pages(options.knowledge)
    queries = [query for query in read_queries(options.knowledge / "queries", pages) if query.sections]
    for chunk_words in options.chunk_words:
        rankings = rank_all(options.knowledge, chunk_words, queries)
        title = f"{len(queries)} queries over {len(pages)} pages in chunks of at most {chunk_words} words"
        show_searches(console, rankings, queries, title)
        show_cross_validation(console, rankings, queries)
        if options.misses:
            show_misses(console, rankings[CONFIGURED], queries)
    console.print(describe_machine())


if __name__ == "__main__":
    main()
