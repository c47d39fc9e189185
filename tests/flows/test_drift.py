"""Drift: what has moved is found, what has not is left alone, and what rests on too little says so."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import pytest

from flows.drift import Drift, drift_lines, drifts, stability_index
from stores.predictions import Prediction

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def predictions(figure: str, values: Sequence[Sequence[float]] | Sequence[Sequence[str]]) -> list[Prediction]:
    """One per entry, each as slow as the others."""
    return [
        Prediction(
            made_at=NOW, service="visual_analysis", endpoint="analyze", release="1", versions={}, seconds=0.1,
            figures={figure: entry},
        )
        for entry in values
    ]  # fmt: skip


def of(figure: str, found: Sequence[Drift]) -> Drift:
    [drift] = [drift for drift in found if drift.figure == figure]
    return drift


def test_the_index_is_that_of_its_definition() -> None:
    now, before = np.array([30, 70]), np.array([50, 50])
    expected = (0.3 - 0.5) * np.log(0.3 / 0.5) + (0.7 - 0.5) * np.log(0.7 / 0.5)
    assert stability_index(now, before) == pytest.approx(expected)
    assert stability_index(before, before) == 0


@pytest.mark.parametrize("rows", [50, 200, 1000])
def test_chance_moves_nothing(rows: int) -> None:
    rng = np.random.default_rng(rows)
    found = []
    for _ in range(100):
        now, before = ([[float(value)] for value in rng.normal(size=rows)] for _ in range(2))
        found.append(of("score", drifts(predictions("score", now), predictions("score", before), 20)).finding)
    assert found.count("steady") >= 98, "one in a thousand may move"


def test_darker_photos_are_found() -> None:
    rng = np.random.default_rng(7)
    now, before = ([[float(value)] for value in rng.normal(mean, 0.1, size=400)] for mean in (0.4, 0.5))
    drift = of("brightness", drifts(predictions("brightness", now), predictions("brightness", before), 200))
    assert (drift.now, drift.before, drift.finding) == (400, 400, "moved far")
    assert drift.index is not None
    assert drift.index > 0.25
    assert of("seconds", drifts(predictions("b", now), predictions("b", before), 200)).finding == "steady"


def test_categories_that_come_more_often_or_for_the_first_time_are_found() -> None:
    before = predictions("category", [["tops", "shoes"]] * 300)
    assert of("category", drifts(before, before, 200)).finding == "steady"
    now = predictions("category", [["tops", "tops", "bags"]] * 300)
    drift = of("category", drifts(now, before, 200))
    assert drift.finding == "moved far"
    assert drift.values == "shoes 50%, now 0%"


def test_a_number_that_was_always_the_same_has_moved_when_it_is_another() -> None:
    before, now = (predictions("garments", [[count]] * 300) for count in (1, 2))
    assert of("garments", drifts(now, before, 200)).finding == "moved far"
    assert of("garments", drifts(before, before, 200)).finding == "steady"


def test_garments_of_one_photo_count_as_one_answer() -> None:
    before = predictions("score", [[0.1, 0.2, 0.3, 0.4]] * 100)
    drift = of("score", drifts(predictions("score", [[0.9] * 4] * 100), before, 200))
    assert (drift.finding, drift.index) == ("too few to tell", None)


def test_the_table_names_what_it_rests_on() -> None:
    before = predictions("category", [["tops"], ["shoes"]] * 200)
    now = predictions("category", [["tops"]] * 300)
    lines = drift_lines(drifts(now, before, 200))
    assert lines[2].startswith("| visual_analysis analyze | category | 300 | 400 |")
    assert "moved far" in lines[2]
    few = drift_lines(drifts(now[:5], before, 200))
    assert few == ["- visual_analysis analyze: too few to tell (5 answers, 400 before)"]
    assert drift_lines([]) == ["no predictions are recorded"]
