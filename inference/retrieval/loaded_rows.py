"""A small table in memory: every vector compared at once takes less time than to ask Lance for the nearest.

A knowledge base has hundreds or thousands of chunks; without an index of vectors Lance compares all of them as well, and
reads the columns of the answer from its files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from lancedb.table import Table

from inference.retrieval.integrity import rows_of
from inference.retrieval.tables import TEXT_VECTOR

MOST_ROWS = 20_000
"""30 MB of vectors of 384 numbers, compared in about a millisecond."""
_ROW_ID = "_rowid"


@dataclass(frozen=True, eq=False)
class LoadedRows:
    """All N rows of one version of a table; safe to share by threads.

    Attributes:
        rows: the columns that answers need.
        row_ids: (N,) uint64 as Lance numbers rows, ascending.
        vectors: float32 (N, D), rows of norm 1, or of zeros.
    """

    rows: pa.Table
    row_ids: npt.NDArray[np.uint64]
    vectors: npt.NDArray[np.float32]

    @classmethod
    def of(cls, table: Table, columns: Sequence[str]) -> Self | None:
        """The rows of the version that `table` is at; None when they are more than `MOST_ROWS`.

        Raises:
            IndexNotReadyError: a file of the table is missing or damaged.
        """
        if table.count_rows() > MOST_ROWS:
            return None
        found = rows_of(table.search().select([*columns, TEXT_VECTOR]).with_row_id(True).limit(None)).sort_by(_ROW_ID)
        size = table.schema.field(TEXT_VECTOR).type.list_size
        vectors = np.asarray(found[TEXT_VECTOR].combine_chunks().flatten().to_numpy(), dtype=np.float32).reshape(
            -1, size
        )
        return cls(
            rows=found.select(list(columns)).combine_chunks(), row_ids=found[_ROW_ID].to_numpy(), vectors=_unit(vectors)
        )

    def __len__(self) -> int:
        return len(self.row_ids)

    def similarities(self, vector: np.ndarray) -> npt.NDArray[np.float64]:
        """(N,) cosine in [-1, 1] of each row's vector and another one (D,)."""
        found = self.vectors @ _unit(np.asarray(vector, dtype=np.float32)[None])[0]
        return np.clip(found.astype(np.float64), -1.0, 1.0)

    def places(self, row_ids: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Places of rows that Lance names by their ids."""
        return np.searchsorted(self.row_ids, row_ids)


def _unit(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return unit
