"""Hybrid search: a vector and a full-text search, and each row's scores in both fused into one relevance.

`scores` is a convex combination (Bruch, Gai and Ingber, arXiv 2210.11934, section 4) of the cosine similarity as it is and of
BM25 in units of one word that a single row holds. Neither is stretched to the range of its candidates, as the paper does
it: a query that shares one common word with the pages moves little, while a part number, or many rare words at once,
outweighs what the embedder makes of them. Every row's cosine is known, also that of a row which full text alone found.
`ranks` is weighted reciprocal rank fusion (Cormack, Clarke and Buettcher, SIGIR 2009), which older releases were judged with.

LanceDB's own hybrid query is no use here: it stretches both scores before a reranker sees them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lancedb.expr import Expr
from lancedb.query import LanceQueryBuilder, MatchQuery
from lancedb.table import Table

from inference.retrieval.integrity import rows_of
from inference.retrieval.loaded_rows import LoadedRows
from inference.retrieval.settings import SearchSettings
from inference.retrieval.tables import SEARCH_TEXT, TEXT_VECTOR

_Array = npt.NDArray[np.float64]
_ROW_ID, _DISTANCE, _BM25 = "_rowid", "_distance", "_score"


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What both searches found for one query: each row once, those of the vector search first, in its order.

    Attributes:
        similarity: (N,) cosine in [-1, 1] of the row's vector and the query's, whichever search found the row.
        text_score: (N,) BM25 over the inverse document frequency of a word that one row holds; 0 for a row that full text did
            not find.
        vector_rank, text_rank: (N,) counted from 1; infinite for a row that the search did not find.
    """

    rows: pa.Table
    similarity: _Array
    text_score: _Array
    vector_rank: _Array
    text_rank: _Array


def hybrid_rows(
    table: Table,
    query: str,
    vector: np.ndarray,
    settings: SearchSettings,
    k: int,
    columns: Sequence[str],
    where: Expr | None,
    loaded: LoadedRows | None = None,
) -> list[dict[str, Any]]:
    """Rows of a hybrid search with their `relevance` and their `similarity` (a cosine), best first.

    A search of weight 0 does not run. Full text finds nothing for a query of stop words only, and the vectors decide. Of
    two rows of equal relevance the one with the better vector rank is first.

    Args:
        loaded: the rows of the table in memory; they are read there, unless `where` selects some.

    Raises:
        IndexNotReadyError: a file of the table is missing or damaged.
    """
    depth = max(k, settings.candidates)
    if loaded is not None and where is None:
        candidates = find_loaded(loaded, table, query, vector, settings, depth)
    elif table.count_rows() == 0:
        return []
    else:
        candidates = find_candidates(table, query, vector, settings, depth, columns, where)
    relevance = fused(candidates, settings)
    order = np.argsort(-relevance, kind="stable")[:k]
    best = candidates.rows.select(list(columns)).take(order).to_pylist()
    return [
        row | {"relevance": float(relevance[place]), "similarity": float(candidates.similarity[place])}
        for row, place in zip(best, order, strict=True)
    ]


def find_candidates(
    table: Table,
    query: str,
    vector: np.ndarray,
    settings: SearchSettings,
    depth: int,
    columns: Sequence[str],
    where: Expr | None,
) -> Candidates:
    """The `depth` best rows of each search; one of weight 0 finds nothing.

    Raises:
        IndexNotReadyError: a file of the table is missing or damaged.
    """

    def found(search: LanceQueryBuilder, score: str) -> pa.Table:
        if where is not None:
            search = search.where(where)
        return rows_of(search.select([*columns, TEXT_VECTOR, score]).with_row_id(True).limit(depth))

    results = {}
    if settings.vector_weight:
        nearest = table.search(vector, vector_column_name=TEXT_VECTOR).distance_type("cosine")
        results[_DISTANCE] = found(nearest, _DISTANCE)
    if settings.text_weight:
        results[_BM25] = found(table.search(MatchQuery(query, SEARCH_TEXT), query_type="fts"), _BM25)
    both = pa.concat_tables([result.drop(score) for score, result in results.items()])
    first: dict[int, int] = {}
    for position, row_id in enumerate(both[_ROW_ID].to_pylist()):
        first.setdefault(row_id, position)
    rows = both.take(pa.array(list(first.values()), type=pa.int64()))
    place = {row_id: position for position, row_id in enumerate(first)}
    ranks = {score: np.full(len(rows), np.inf) for score in (_DISTANCE, _BM25)}
    text_score = np.zeros(len(rows))
    for score, result in results.items():
        places = [place[row_id] for row_id in result[_ROW_ID].to_pylist()]
        ranks[score][places] = np.arange(1, len(places) + 1)
        if score == _BM25:
            text_score[places] = result[score].to_numpy() / _single_row_word(table.count_rows())
    return Candidates(
        rows=rows,
        similarity=_cosine_similarities(rows[TEXT_VECTOR], vector),
        text_score=text_score,
        vector_rank=ranks[_DISTANCE],
        text_rank=ranks[_BM25],
    )


def find_loaded(
    loaded: LoadedRows, table: Table, query: str, vector: np.ndarray, settings: SearchSettings, depth: int
) -> Candidates:
    """What `find_candidates` finds, with every row's vector in memory: Lance is asked for the full text alone.

    Raises:
        IndexNotReadyError: a file of the table is missing or damaged.
    """
    similarity = loaded.similarities(vector)
    nearest = np.argsort(-similarity, kind="stable")[:depth] if settings.vector_weight else np.zeros(0, dtype=int)
    places, scores = np.zeros(0, dtype=int), np.zeros(0)
    if settings.text_weight and len(loaded):
        search = table.search(MatchQuery(query, SEARCH_TEXT), query_type="fts")
        found = rows_of(search.select([_BM25]).with_row_id(True).limit(depth))
        places = loaded.places(found[_ROW_ID].to_numpy())
        scores = found[_BM25].to_numpy() / _single_row_word(len(loaded))
    both = np.array(list(dict.fromkeys([*nearest.tolist(), *places.tolist()])), dtype=int)
    order = {place: position for position, place in enumerate(both.tolist())}
    vector_rank, text_rank, text_score = np.full(len(both), np.inf), np.full(len(both), np.inf), np.zeros(len(both))
    vector_rank[: len(nearest)] = np.arange(1, len(nearest) + 1)
    by_text = [order[place] for place in places.tolist()]
    text_rank[by_text], text_score[by_text] = np.arange(1, len(places) + 1), scores
    return Candidates(
        rows=loaded.rows.take(pa.array(both)), similarity=similarity[both], text_score=text_score,
        vector_rank=vector_rank, text_rank=text_rank,
    )  # fmt: skip


def _single_row_word(rows: int) -> float:
    """Inverse document frequency of a word that one row of a table holds."""
    return math.log(1 + (rows - 0.5) / 1.5)


def fused(candidates: Candidates, settings: SearchSettings) -> _Array:
    """(N,) relevance, higher is better; orders the rows of one query only."""
    by_vector, by_text = settings.vector_weight, settings.text_weight
    if settings.fusion == "ranks":
        ranks = settings.rrf_k + candidates.vector_rank, settings.rrf_k + candidates.text_rank
        return by_vector / ranks[0] + by_text / ranks[1]
    return (by_vector * candidates.similarity + by_text * candidates.text_score) / (by_vector + by_text)


def _cosine_similarities(vectors: pa.ChunkedArray, query: np.ndarray) -> _Array:
    """(N,) in [-1, 1]; vectors need not have length 1, and one of length 0 is similar to nothing."""
    rows = np.asarray(vectors.combine_chunks().flatten().to_numpy(), dtype=np.float64).reshape(-1, query.size)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    dots = rows @ np.asarray(query, dtype=np.float64)
    return np.clip(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0), -1.0, 1.0)
