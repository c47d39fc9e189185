"""Metrics against values worked out by hand, and what keeps an index from being served."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aura.errors import DataError
from aura.prepared_rows import QueryRow
from inference.retrieval.judge import (
    Judgement,
    bootstrap_interval,
    judge,
    ndcg_at,
    objections,
    read_queries,
    recall_at,
    reciprocal_rank,
)
from inference.retrieval.settings import JudgeSettings


@pytest.mark.parametrize(
    ("ranking", "relevant", "recall", "ndcg", "reciprocal"),
    [
        ("abcde", "a", 1.0, 1.0, 1.0),
        ("abcde", "c", 1.0, 0.5, 1 / 3),  # 1 / log2(4)
        ("xxxxxa", "a", 0.0, 1 / math.log2(7), 1 / 6),
        ("abcde", "z", 0.0, 0.0, 0.0),
        ("", "a", 0.0, 0.0, 0.0),
        # Ranks 1 and 3: (1 + 1/2) / (1 + 1/log2(3)).
        ("abc", "ac", 1.0, 1.5 / (1 + 1 / math.log2(3)), 1.0),
        ("bxa", "ac", 0.5, 0.5 / (1 + 1 / math.log2(3)), 1 / 3),
        ("0123456789a", "a", 0.0, 0.0, 0.0),  # the eleventh place counts nowhere
    ],
)
def test_metrics_by_hand(ranking: str, relevant: str, recall: float, ndcg: float, reciprocal: float) -> None:
    assert recall_at(5, list(ranking), list(relevant)) == pytest.approx(recall)
    assert ndcg_at(10, list(ranking), list(relevant)) == pytest.approx(ndcg)
    assert reciprocal_rank(10, list(ranking), list(relevant)) == pytest.approx(reciprocal)


def test_a_judgement_is_the_mean_over_queries() -> None:
    queries = [QueryRow(query=f"q{number}", relevant=(slug,)) for number, slug in enumerate("abz", start=1)]
    answers = {"q1": ["a", "b"], "q2": ["a", "b"], "q3": ["a", "b"]}

    def rank(texts: Sequence[str]) -> list[list[str]]:
        return [answers[text] for text in texts]

    judged = judge(queries, rank, JudgeSettings())
    assert judged.metrics["recall_at_5"] == pytest.approx(2 / 3)
    assert judged.metrics["ndcg_at_10"] == pytest.approx((1 + 1 / math.log2(3)) / 3)
    assert judged.metrics["mrr_at_10"] == pytest.approx(0.5)
    low, high = judged.intervals["recall_at_5"]
    assert 0.0 <= low < 2 / 3 < high <= 1.0
    assert judged.rankings[0] == ("a", "b")


def test_the_interval_is_that_of_the_mean_and_repeats() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.2, size=400)
    low, high = bootstrap_interval(values, 2000, seed=3)
    error = values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.004)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.004)
    assert bootstrap_interval(values, 2000, seed=3) == (low, high)
    assert bootstrap_interval([1.0, 1.0, 1.0], 100, seed=0) == (1.0, 1.0)


def judgement(recall: float, ndcg: float) -> Judgement:
    return Judgement(metrics={"recall_at_5": recall, "ndcg_at_10": ndcg}, intervals={}, rankings=())


@pytest.mark.parametrize(
    ("candidate", "serving", "complaints"),
    [
        ((0.90, 0.80), None, []),
        ((0.90, 0.80), (0.90, 0.80), []),
        ((0.89, 0.79), (0.90, 0.80), []),
        ((0.87, 0.80), (0.90, 0.80), ["recall_at_5 0.870 is more than 0.020 below the served 0.900"]),
        ((0.90, 0.70), (0.90, 0.80), ["ndcg_at_10 0.700 is more than"]),
        ((0.70, 0.80), None, ["recall_at_5 0.700 is below the floor 0.850"]),
        ((0.70, 0.30), (0.90, 0.80), ["below the floor", "below the served", "below the floor", "below the served"]),
    ],
)
def test_objections(candidate: tuple[float, float], serving: tuple[float, float] | None, complaints: list[str]) -> None:
    settings = JudgeSettings(recall_at_5_floor=0.85, ndcg_at_10_floor=0.6, tolerance=0.02)
    found = objections(judgement(*candidate), None if serving is None else judgement(*serving), settings)
    assert len(found) == len(complaints)
    for text, complaint in zip(found, complaints, strict=True):
        assert complaint in text


def test_queries_are_read_from_a_file_or_a_folder(tmp_path: Path) -> None:
    line = json.dumps({"query": "why?", "relevant": ["a", "a", "b"]})
    (tmp_path / "one.jsonl").write_text(line + "\n\n")
    (tmp_path / "two.jsonl").write_text(line)
    assert read_queries(tmp_path / "one.jsonl", {"a", "b"}) == [QueryRow(query="why?", relevant=("a", "b"))]
    assert len(read_queries(tmp_path, {"a", "b"})) == 2


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ('{"query": "x"}', "relevant: Field required"),
        ('{"query": "x", "relevant": ["a"], "slug": "a"}', "slug: Extra inputs are not permitted"),
        ('{"query": " ", "relevant": ["a"]}', "query: String should match"),
        ('{"query": "x", "relevant": []}', "relevant: Tuple should have at least 1 item"),
        ('{"query": "x", "relevant": ["a", "b"]}', "no such page: b"),
    ],
)
def test_a_broken_label_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"query": "x", "relevant": ["a"]}\n' + line)
    with pytest.raises(DataError, match=r"queries\.jsonl, row 2") as caught:
        read_queries(path, {"a"})
    assert complaint in str(caught.value)


def test_an_index_without_labels_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing"):
        read_queries(tmp_path / "queries.jsonl", set())
    (tmp_path / "queries.jsonl").touch()
    with pytest.raises(DataError, match="no labelled queries"):
        read_queries(tmp_path / "queries.jsonl", set())
