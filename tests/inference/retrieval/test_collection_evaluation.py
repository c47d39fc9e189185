"""Metrics of a test collection against values worked out by hand."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence

import numpy as np
import pytest
from rich.console import Console

from inference.retrieval.collection import Collection, Document
from inference.retrieval.evaluate import evaluate, show
from inference.retrieval.settings import JudgeSettings, RetrievalSettings, SearchSettings

TEXTS = {
    "d1": "alpha beta gamma",
    "d2": "delta epsilon zeta",
    "d3": "part xk4711 of the kit",
    "d4": "eta theta iota",
}
ANGLES = {"d1": 10, "d2": 20, "d3": 80, "d4": 30}
"""Degrees between a document and every query, which lies at 0."""
SETTINGS = RetrievalSettings(
    search=SearchSettings(vector_weight=1, text_weight=2), judge=JudgeSettings(bootstrap_samples=200)
)


class Plane:
    """Vectors in a plane, given by the text: a query lies at 0 degrees, what is no document of ours at 90."""

    reference = "plane"
    dim = 2

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        angles = [
            next((ANGLES[name] for name, words in TEXTS.items() if text.startswith(words)), 0 if len(text) < 12 else 90)
            for text in texts
        ]
        return np.array([[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in angles], dtype=np.float32)


def collection(queries: dict[str, str], grades: dict[str, dict[str, float]], **more: str) -> Collection:
    documents = {
        name: Document.model_validate({"_id": name, "title": "", "text": text}) for name, text in (TEXTS | more).items()
    }
    return Collection(documents=documents, queries=queries, grades=grades, notes=["a note"])


def test_metrics_and_differences_by_hand() -> None:
    # By vector always d1, d2, d4, d3. Full text finds d3 for the first query, nothing for the second.
    found = evaluate(
        collection({"a": "xk4711", "b": "omega"}, {"a": {"d3": 1.0}, "b": {"d2": 1.0, "d4": 3.0}}), SETTINGS, Plane()
    )
    assert (found.documents, found.chunks, found.queries) == (4, 4, 2)
    second = (1 / math.log2(3) + 3 / 2) / (3 + 1 / math.log2(3))
    means = {search: {name: value.mean for name, value in rows.items()} for search, rows in found.metrics.items()}
    assert means["vector"] == pytest.approx(
        {
            "ndcg_at_10": (1 / math.log2(5) + second) / 2,
            "recall_at_5": 1.0,
            "recall_at_10": 1.0,
            "recall_at_100": 1.0,
            "mrr_at_10": (1 / 4 + 1 / 2) / 2,
        }
    )
    assert set(means["full text"].values()) == {0.5}
    # cos 80 + 2 is more than cos 10: the document that full text alone finds is the first.
    assert means["hybrid"]["mrr_at_10"] == pytest.approx((1 + 1 / 2) / 2)
    assert means["hybrid"]["ndcg_at_10"] == pytest.approx((1 + second) / 2)
    gain = found.gains["vector"]["mrr_at_10"]
    assert gain.mean == pytest.approx(0.375)
    assert (gain.low, gain.high) == pytest.approx((0.0, 0.75))  # one query gains three quarters, the other nothing
    assert found.gains["full text"]["recall_at_5"].mean == pytest.approx(0.5)


def test_a_long_document_counts_once_at_its_best_chunk() -> None:
    sentences = [f"Sentence {number} says one more thing about nothing at all." for number in range(40)]
    long = " ".join([*sentences, "alpha beta gamma omega."])
    found = evaluate(collection({"a": "omega"}, {"a": {"d5": 1.0}}, d5=long), SETTINGS, Plane())
    assert found.documents == 5
    assert found.chunks > 6
    assert found.metrics["full text"]["mrr_at_10"].mean == 1.0
    assert found.metrics["vector"]["mrr_at_10"].mean == pytest.approx(1 / 5)
    assert found.metrics["vector"]["recall_at_5"].mean == 1.0


def test_documents_are_counted_also_when_each_has_many_chunks() -> None:
    filler = " ".join(f"Sentence {number} says one more thing about nothing at all." for number in range(100))
    many = {f"x{number}": f"{filler} Document {number}." for number in range(120)}
    settings = SETTINGS.model_copy(update={"chunk_max_words": 40})
    grades = {"a": {f"x{number}": 1.0 for number in range(120)}}
    found = evaluate(collection({"a": "omega"}, grades, **many), settings, Plane())
    assert found.chunks > 2000
    assert found.metrics["vector"]["recall_at_100"].mean >= 96 / 120


def test_the_tables_fit_80_columns() -> None:
    found = evaluate(collection({"a": "xk4711", "b": "omega"}, {"a": {"d3": 1.0}, "b": {"d2": 1.0}}), SETTINGS, Plane())
    output = io.StringIO()
    show(found, Console(file=output, width=80))
    lines = output.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert "note: a note" in lines
    row = next(line for line in lines if "mrr@10" in line)
    assert "0.375 (0.25-0.50)" in row
    assert "0.750 (0.50-1.00)" in row
