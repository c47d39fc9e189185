"""What a night adds to the home, by the reports of the nights."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from aura.artifact import write_json, write_text
from flows.disk_use import NightUse, growth_per_night, recorded_nights

_NOW = datetime(2026, 1, 9, 12, tzinfo=UTC)


def night(day: int, **disk: int) -> NightUse:
    return NightUse(started=datetime(2026, 1, day, 2, tzinfo=UTC), disk=disk)


def test_the_growth_is_the_median_of_the_nights_of_the_last_days() -> None:
    nights = [
        night(1, dvc=900),
        night(2, dvc=100),
        night(7, dvc=110),
        night(8, dvc=150, mlflow=7),
        night(9, dvc=130, mlflow=7),
    ]
    assert growth_per_night(nights, _NOW, days=3) == {"dvc": 10, "mlflow": 0}
    assert growth_per_night(nights[-1:], _NOW) == {}, "one night has nothing to be compared with"
    assert growth_per_night(nights, _NOW + timedelta(days=30)) == {}


def test_nights_of_all_profiles_are_read_and_what_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    for profile, day in (("ccp", 2), ("sample", 1)):
        values = {"started": f"2026-01-0{day}T02:00:00+00:00", "disk": {"dvc": day}}
        write_json(tmp_path / "reports" / profile / f"night-2026010{day}-020000" / "result.json", values)
    write_json(
        tmp_path / "reports" / "ccp" / "night-20251231-020000" / "result.json", {"started": "of an older version"}
    )
    write_text(tmp_path / "reports" / "ccp" / "night-20251230-020000" / "result.json", "{cut off")
    assert recorded_nights(tmp_path) == [night(1, dvc=1), night(2, dvc=2)]
