"""Hybrid search: a vector and a full-text search, and each row's scores in both fused into one relevance.

`scores` is a convex combination (Bruch, Gai and Ingber, arXiv 2210.11934, section 4) of the cosine similarity as it is and of
BM25 over the query's best. Every row's cosine is known, also that of a row which full text alone found, so a rare exact
word can win. Unlike in the paper, the cosine isn't stretched to the range of its candidates: where the embedder does not know
the query's words all cosines are alike, and full text decides. `ranks` is weighted reciprocal rank fusion (Cormack, Clarke
and Buettcher, SIGIR 2009), which older releases of the index were judged with.

LanceDB's own hybrid query is no use here: it stretches both scores before a reranker sees them.
"""

from __future__ import annotations

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
from inference.retrieval.settings import SearchSettings
from inference.retrieval.tables import SEARCH_TEXT, TEXT_VECTOR

_Array = npt.NDArray[np.float64]
_ROW_ID, _DISTANCE, _BM25 = "_rowid", "_distance", "_score"


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What both searches found for one query: each row once, those of the vector search first, in its order.

    Attributes:
        similarity: (N,) cosine in [-1, 1] of the row's vector and the query's, whichever search found the row.
        text_score: (N,) BM25; 0 for a row that full text did not find.
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
) -> list[dict[str, Any]]:
    """Rows of a hybrid search with their `relevance` and their `similarity` (a cosine), best first.

    A search of weight 0 does not run. Full text finds nothing for a query of stop words only, and the vectors decide. Of
    two rows of equal relevance the one with the better vector rank is first.

    Raises:
        IndexNotReadyError: a file of the table is missing or damaged.
    """
    if table.count_rows() == 0:
        return []
    candidates = find_candidates(table, query, vector, settings, max(k, settings.candidates), columns, where)
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
            text_score[places] = result[score].to_numpy()
    return Candidates(
        rows=rows,
        similarity=_cosine_similarities(rows[TEXT_VECTOR], vector),
        text_score=text_score,
        vector_rank=ranks[_DISTANCE],
        text_rank=ranks[_BM25],
    )


def fused(candidates: Candidates, settings: SearchSettings) -> _Array:
    """(N,) relevance, higher is better: at most 1 from scores, small sums of reciprocals from ranks."""
    by_vector, by_text = settings.vector_weight, settings.text_weight
    if settings.fusion == "ranks":
        ranks = settings.rrf_k + candidates.vector_rank, settings.rrf_k + candidates.text_rank
        return by_vector / ranks[0] + by_text / ranks[1]
    best = candidates.text_score.max(initial=0.0)
    shares = candidates.text_score / best if best > 0 else candidates.text_score
    return (by_vector * candidates.similarity + by_text * shares) / (by_vector + by_text)


def _cosine_similarities(vectors: pa.ChunkedArray, query: np.ndarray) -> _Array:
    """(N,) in [-1, 1]; vectors need not have length 1, and one of length 0 is similar to nothing."""
    rows = np.asarray(vectors.combine_chunks().flatten().to_numpy(), dtype=np.float64).reshape(-1, query.size)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    dots = rows @ np.asarray(query, dtype=np.float64)
    return np.clip(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0), -1.0, 1.0)
