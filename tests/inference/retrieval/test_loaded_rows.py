"""A table in memory is searched as Lance searches it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import lancedb
import numpy as np
import pytest

from inference.retrieval import loaded_rows
from inference.retrieval.hybrid import hybrid_rows
from inference.retrieval.loaded_rows import LoadedRows
from inference.retrieval.settings import SearchSettings

COLUMNS = ["chunk_id", "slug", "text"]
QUERIES = ("merino jumpers", "wash wool", "what to pack for a flight", "the of and", "unknownword")


@pytest.mark.parametrize(
    "settings",
    [SearchSettings(), SearchSettings(fusion="ranks"), SearchSettings(vector_weight=0), SearchSettings(text_weight=0),
     SearchSettings(candidates=3)],
)  # fmt: skip
def test_rows_in_memory_answer_as_lance_does(corpus: Path, writer: ModuleType, settings: SearchSettings) -> None:
    writer.build(corpus)
    table = lancedb.connect(corpus / "index").open_table("knowledge")
    loaded = LoadedRows.of(table, COLUMNS)
    assert loaded is not None
    assert len(loaded) == table.count_rows() == 18
    for query in QUERIES:
        vector = writer.WordEmbedder().encode([query])[0]
        expected = hybrid_rows(table, query, vector, settings, 8, COLUMNS, None)
        found = hybrid_rows(table, query, vector, settings, 8, COLUMNS, None, loaded)
        assert [row.keys() for row in found] == [row.keys() for row in expected]
        for name in ("relevance", "similarity"):
            np.testing.assert_allclose([row[name] for row in found], [row[name] for row in expected], atol=1e-6)
        scores = [round(row["relevance"], 5) for row in expected]
        # Rows of equal relevance may come in another order.
        clear = [place for place, score in enumerate(scores) if scores.count(score) == 1]
        assert [found[place]["chunk_id"] for place in clear] == [expected[place]["chunk_id"] for place in clear]
        assert [found[place]["text"] for place in clear] == [expected[place]["text"] for place in clear]


def test_a_large_table_stays_on_disk(corpus: Path, writer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    writer.build(corpus)
    table = lancedb.connect(corpus / "index").open_table("knowledge")
    monkeypatch.setattr(loaded_rows, "MOST_ROWS", 17)
    assert LoadedRows.of(table, COLUMNS) is None
