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
from inference.retrieval.chunks import Page, Section
from inference.retrieval.judge import Judgement, judge, objections, read_queries
from inference.retrieval.metrics import bootstrap_interval, ndcg_at, recall_at, reciprocal_rank
from inference.retrieval.settings import JudgeSettings


def page(slug: str) -> Page:
    body = "# Title\n\n## Rain\n\nWax it.\n\n## Sun\n\nA hat."
    return Page(slug=slug, title="Title", topic="care", season="all", occasion="all", garment="all", body=body)


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


def test_graded_gain_by_hand() -> None:
    grades = {"a": 1.0, "b": 3.0, "c": 2.0}
    ideal = 3 + 2 / math.log2(3) + 1 / 2
    assert ndcg_at(10, list("bca"), grades) == pytest.approx(1.0)
    assert ndcg_at(10, list("axb"), grades) == pytest.approx((1 + 3 / 2) / ideal)
    assert ndcg_at(2, list("acb"), grades) == pytest.approx((1 + 2 / math.log2(3)) / (3 + 2 / math.log2(3)))


def test_a_judgement_is_the_mean_over_queries() -> None:
    queries = [QueryRow(query=f"q{number}", relevant=(slug,)) for number, slug in enumerate("abz", start=1)]
    answers = {"q1": ["a", "b"], "q2": ["a", "b"], "q3": ["a", "b"]}

    def rank(texts: Sequence[str]) -> list[list[Section]]:
        return [[Section(slug, heading) for slug in answers[text] for heading in ("x", "y")] for text in texts]

    judged = judge(queries, rank, JudgeSettings())
    assert judged.metrics["recall_at_5"] == pytest.approx(2 / 3)
    assert judged.metrics["ndcg_at_10"] == pytest.approx((1 + 1 / math.log2(3)) / 3)
    assert judged.metrics["mrr_at_10"] == pytest.approx(0.5)
    low, high = judged.intervals["recall_at_5"]
    assert 0.0 <= low < 2 / 3 < high <= 1.0
    assert judged.rankings[0] == ("a", "b")
    assert judged.metrics["page_hit_at_3"] == pytest.approx(2 / 3)  # a, a and b are sent
    assert "section_hit_at_3" not in judged.metrics


def test_what_is_sent_is_judged_by_passage_and_by_section() -> None:
    queries = [
        QueryRow(query="q1", relevant=("a",), sections=("Rain",)),
        QueryRow(query="q2", relevant=("a",), sections=("Rain", "Sun")),
        QueryRow(query="q3", relevant=("b",), sections=("Rain",)),
        QueryRow(query="q4", relevant=("c",)),
    ]
    found = {
        "q1": [
            Section("b", "Rain"),
            Section("a", "Sun"),
            Section("a", "Rain"),
        ],  # the section of another page is no hit
        "q2": [Section("a", "Sun")],
        "q3": [Section("a", "Rain"), Section("a", "Sun"), Section("c", "Rain"), Section("b", "Rain")],  # the fourth
        "q4": [Section("a", "Rain"), Section("a", "Sun"), Section("c", "Sun")],
    }
    judged = judge(queries, lambda texts: [found[text] for text in texts], JudgeSettings())
    assert judged.metrics["page_hit_at_3"] == pytest.approx(3 / 4)
    hits = [judged.metrics[f"section_hit_at_{k}"] for k in (1, 2, 3)]
    assert hits == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert judged.metrics["recall_at_5"] == 1.0
    assert judged.metrics["mrr_at_10"] == pytest.approx((1 / 2 + 1 + 1 / 3 + 1 / 2) / 4)
    assert judged.intervals.keys() == judged.metrics.keys()


def test_the_interval_is_that_of_the_mean_and_repeats() -> None:
    values = np.random.default_rng(1).normal(0.5, 0.2, size=400)
    low, high = bootstrap_interval(values, 2000, seed=3)
    error = values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.004)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.004)
    assert bootstrap_interval(values, 2000, seed=3) == (low, high)
    assert bootstrap_interval([1.0, 1.0, 1.0], 100, seed=0) == (1.0, 1.0)


def judgement(page_hit: float, section_hit: float) -> Judgement:
    return Judgement(metrics={"page_hit_at_3": page_hit, "section_hit_at_3": section_hit}, intervals={}, rankings=())


@pytest.mark.parametrize(
    ("candidate", "serving", "complaints"),
    [
        ((0.90, 0.80), None, []),
        ((0.90, 0.80), (0.90, 0.80), []),
        ((0.89, 0.79), (0.90, 0.80), []),
        ((0.87, 0.80), (0.90, 0.80), ["page_hit_at_3 0.870 is more than 0.020 below the served 0.900"]),
        ((0.90, 0.70), (0.90, 0.80), ["section_hit_at_3 0.700 is more than"]),
        ((0.70, 0.80), None, ["page_hit_at_3 0.700 is below the floor 0.850"]),
        ((0.70, 0.30), (0.90, 0.80), ["below the floor", "below the served", "below the floor", "below the served"]),
    ],
)
def test_objections(candidate: tuple[float, float], serving: tuple[float, float] | None, complaints: list[str]) -> None:
    settings = JudgeSettings(page_hit_at_3_floor=0.85, section_hit_at_3_floor=0.6, tolerance=0.02)
    found = objections(judgement(*candidate), None if serving is None else judgement(*serving), settings)
    assert len(found) == len(complaints)
    for text, complaint in zip(found, complaints, strict=True):
        assert complaint in text


def test_without_labelled_sections_the_pages_alone_decide() -> None:
    good, bad = (Judgement(metrics={"page_hit_at_3": value}, intervals={}, rankings=()) for value in (0.9, 0.5))
    assert objections(good, good, JudgeSettings()) == []
    assert len(objections(bad, good, JudgeSettings())) == 2


def test_queries_are_read_from_a_file_or_a_folder(tmp_path: Path) -> None:
    line = json.dumps({"query": "why?", "relevant": ["a", "a", "b"], "sections": ["Sun", "Sun"]})
    (tmp_path / "one.jsonl").write_text(line + "\n\n")
    (tmp_path / "two.jsonl").write_text(line)
    pages = [page("a"), page("b")]
    expected = QueryRow(query="why?", relevant=("a", "b"), sections=("Sun",))
    assert read_queries(tmp_path / "one.jsonl", pages) == [expected]
    assert len(read_queries(tmp_path, pages)) == 2


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "not JSON"),
        ('{"query": "x"}', "relevant: Field required"),
        ('{"query": "x", "relevant": ["a"], "slug": "a"}', "slug: Extra inputs are not permitted"),
        ('{"query": " ", "relevant": ["a"]}', "query: String should match"),
        ('{"query": "x", "relevant": []}', "relevant: Tuple should have at least 1 item"),
        ('{"query": "x", "relevant": ["a", "b"]}', "no such page: b"),
        (
            '{"query": "x", "relevant": ["a"], "sections": ["Sun", "Snow"]}',
            "no such heading in the relevant pages: Snow",
        ),
    ],
)
def test_a_broken_label_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"query": "x", "relevant": ["a"]}\n' + line)
    with pytest.raises(DataError, match=r"queries\.jsonl, row 2") as caught:
        read_queries(path, [page("a")])
    assert complaint in str(caught.value)


def test_an_index_without_labels_cannot_be_judged(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing"):
        read_queries(tmp_path / "queries.jsonl", [])
    (tmp_path / "queries.jsonl").touch()
    with pytest.raises(DataError, match="no labelled queries"):
        read_queries(tmp_path / "queries.jsonl", [])
