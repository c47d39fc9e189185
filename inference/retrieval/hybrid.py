"""Hybrid search: the vector and the full-text leg, fused by weighted reciprocal ranks (Cormack, Clarke and Buettcher,
SIGIR 2009).

LanceDB's own `RRFReranker` weighs both legs alike and leaves ties in row order; this one weighs them and gives ties to
the better vector rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from lancedb.expr import Expr
from lancedb.query import MatchQuery
from lancedb.rerankers.base import Reranker
from lancedb.table import Table

from inference.retrieval.integrity import rows_of
from inference.retrieval.settings import SearchSettings
from inference.retrieval.tables import SEARCH_TEXT, TEXT_VECTOR


class WeightedRRF(Reranker):
    """score(chunk) = sum over legs of weight / (rank_constant + rank), ranks counted from 1."""

    def __init__(self, *, rank_constant: int, vector_weight: float, text_weight: float) -> None:
        super().__init__(return_score="relevance")
        self._rank_constant = rank_constant
        self._vector_weight = vector_weight
        self._text_weight = text_weight

    def rerank_hybrid(self, query: str, vector_results: pa.Table, fts_results: pa.Table) -> pa.Table:
        """Union of both legs with `_relevance_score`, best first."""
        scores: dict[int, float] = {}
        for results, weight in ((vector_results, self._vector_weight), (fts_results, self._text_weight)):
            for rank, row_id in enumerate(results["_rowid"].to_pylist(), start=1):
                scores[row_id] = scores.get(row_id, 0.0) + weight / (self._rank_constant + rank)
        merged = self.merge_results(vector_results, fts_results)
        row_ids = merged["_rowid"].to_pylist()
        position = {row_id: index for index, row_id in enumerate(scores)}
        order = sorted(range(len(row_ids)), key=lambda i: (-scores[row_ids[i]], position[row_ids[i]]))
        merged = merged.append_column(
            "_relevance_score", pa.array([scores[row_id] for row_id in row_ids], type=pa.float32())
        )
        return self._keep_relevance_score(merged.take(order))


def hybrid_rows(
    table: Table,
    query: str,
    vector: np.ndarray,
    settings: SearchSettings,
    k: int,
    columns: Sequence[str],
    where: Expr | None,
) -> list[dict[str, Any]]:
    """Rows of a hybrid search with their `relevance` and their `similarity`, best first.

    `similarity` is the cosine similarity in [-1, 1] of the row's vector and the query's, whichever leg found the row.
    A leg of weight 0 does not run. A query of stop words only has an empty full-text leg, and the vector leg decides.

    Raises:
        IndexNotReadyError: a file of the table is missing or damaged.
    """
    if table.count_rows() == 0:
        return []
    text = MatchQuery(query, SEARCH_TEXT)
    depth = max(k, settings.candidates)
    if settings.text_weight == 0:
        search, score = table.search(vector, vector_column_name=TEXT_VECTOR).distance_type("cosine"), "_distance"
    elif settings.vector_weight == 0:
        search, score = table.search(text, query_type="fts"), "_score"
    else:
        fusion = WeightedRRF(
            rank_constant=settings.rrf_k, vector_weight=settings.vector_weight, text_weight=settings.text_weight
        )
        legs = table.search(query_type="hybrid", vector_column_name=TEXT_VECTOR, fts_columns=SEARCH_TEXT)
        search = legs.vector(vector).text(text).distance_type("cosine").rerank(fusion)
        score = "_relevance_score"
    if where is not None:
        search = search.where(where)
    # No column is selected in the search itself: a hybrid one would have to name both legs' scores and cannot.
    found = rows_of(search.limit(depth)).slice(0, k)
    relevance = found[score].to_numpy()
    similarity = _cosine_similarities(found[TEXT_VECTOR], vector)
    return [
        row | {"relevance": float(1.0 - value if score == "_distance" else value), "similarity": float(cosine)}
        for row, value, cosine in zip(found.select(columns).to_pylist(), relevance, similarity, strict=True)
    ]


def _cosine_similarities(vectors: pa.ChunkedArray, query: np.ndarray) -> np.ndarray:
    """(N,) float64 in [-1, 1]; vectors need not have length 1, and one of length 0 is similar to nothing."""
    rows = np.asarray(vectors.combine_chunks().flatten().to_numpy(), dtype=np.float64).reshape(-1, query.size)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
    dots = rows @ np.asarray(query, dtype=np.float64)
    return np.clip(np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0), -1.0, 1.0)
