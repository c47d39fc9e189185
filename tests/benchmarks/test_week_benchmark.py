"""The week's judge sees each way in which a night is not as it must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.week import MAY_ADD_MB, Day, judged, page
from flows.alerts import ENDED, FAILED


def week_of(*disk_mb: float) -> list[Day]:
    return [
        Day(
            name=f"night-2026010{number}-020000",
            run=f"sample 2026-01-0{number} 02:00",
            state="COMPLETED",
            reports=1,
            messages=1,
            disk_mb=size,
            result={"good": True, "seconds": 60, "models": {}, "disk": {"dvc": size * 1e6}},
            answers=Counter({"200": 9}),
            left_over=[],
        )
        for number, size in enumerate(disk_mb, start=1)
    ]


def problems(days: Sequence[Day]) -> list[str]:
    return judged(days, [], [f"{ENDED}\n{day.name}" for day in days])


def test_a_week_as_it_must_be_has_no_problem() -> None:
    days = week_of(100, 200, 300, 390, 400, 401, 400)
    assert problems(days) == []
    maintenance: dict[str, Any] = {"disk_before": {}, "disk_after": {}, "growth": {}, "sentences": {}}
    written = page(days, maintenance, [], 50)
    assert "| night-20260102-020000 | 60 | - | 200.0 | +100.0 | 1 | 1 | 9 | 0 |" in written
    assert written.endswith("## Problems\n\nnone\n")


def test_only_what_a_night_adds_beyond_the_policy_counts() -> None:
    days = week_of(100, 200, 300, 400, 500, 500 + MAY_ADD_MB, 501 + 2 * MAY_ADD_MB)
    assert problems(days) == [f"night-20260107-020000: added {MAY_ADD_MB + 1:.1f} MB, more than {MAY_ADD_MB:g}"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"state": "CRASHED"}, "ended as CRASHED"),
        ({"result": {"good": False, "problems": {"index": "no room"}}}, "no room"),
        ({"reports": 0}, "0 reports"),
        ({"messages": 2}, "2 messages"),
        ({"answers": Counter({"200": 5, "503": 1})}, "503"),
        ({"left_over": ["postgres"]}, "postgres"),
        ({"name": "night-20260101-030000"}, "not a night a day"),
    ],
)
def test_each_fault_of_a_night_is_told(change: dict[str, Any], told: str) -> None:
    first, second = week_of(100, 200)
    (problem,) = problems([first, replace(second, **change)])
    assert told in problem


def test_messages_and_missed_nights_are_counted_over_the_week() -> None:
    days = week_of(100)
    assert judged(days, ["runs by state: LATE"], [f"{ENDED}\n"]) == ["runs by state: LATE"]
    assert judged(days, [], [f"{ENDED}\n", f"{FAILED}\n"]) == [f"message: {FAILED}\n", "2 messages for 1 nights"]
