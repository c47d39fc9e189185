"""What a night leaves for Prometheus, and how the platform's health shows it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp.test_utils import TestClient, TestServer
from prometheus_client.parser import text_string_to_metric_families

from flows.disk_use import folder_bytes
from flows.drift import Drift
from flows.gateway.certificate import own_certificate
from flows.gateway.platform_health import HealthPlan, Part, make_app
from flows.night_metrics import FOLDER, Serves, metrics_file, write_night_metrics
from flows.processes import free_port
from flows.promotion import Outcome
from flows.report import NightReport
from flows.stages import StageResult
from stores.address import DATABASE_URL
from stores.local_server import LocalServer

FIRST = datetime(2026, 1, 1, 2, tzinfo=UTC)
_FIGURE = {"service": "visual_analysis", "endpoint": "analyze", "now": 300, "before": 900, "values": ""}
DRIFT = [
    Drift(**_FIGURE, figure="brightness", index=0.4, finding="moved far"),
    Drift(**_FIGURE, figure="scores", index=None, finding="too few to tell"),
]
SERVES = Serves(champions={"detection": ("3", FIRST)}, index=(7, FIRST + timedelta(hours=1)))


def report(started: datetime, profile: str = "sample", **problems: str) -> NightReport:
    outcome = Outcome(
        model="detection",
        metric="ap50",
        champion=None,
        challenger=0.5,
        verdict="promoted",
        reasons=[],
        version="3",
        seconds=1.0,
    )
    return NightReport(
        profile=profile, started=started, seconds=600.0, flow_run_id="", outcomes=[outcome],
        stages=[StageResult(stage="prepare", ran=True, seconds=12.0)], index={}, bentos={}, snapshot="", git_commit="", links={},
        problems=problems, drift=DRIFT, disk={"mlflow": 4096},
    )  # fmt: skip


def values(text: str) -> dict[tuple[str, ...], float]:
    """Name and values of the labels, but for the profile, to value."""
    return {
        (sample.name, *(value for key, value in sorted(sample.labels.items()) if key != "profile")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_good_night_tells_what_it_did_and_what_serves(own_home: Path) -> None:
    (own_home / "mlflow").mkdir(parents=True)
    (own_home / "mlflow" / "one").write_bytes(b"x" * 100_000)
    os.link(own_home / "mlflow" / "one", own_home / "mlflow" / "two")
    ended_with = replace(report(FIRST), disk=folder_bytes(own_home))
    file = write_night_metrics(ended_with, {"prepare": True, "index": True}, SERVES, own_home)
    found = values(file.read_text(encoding="utf-8"))
    ended = FIRST.timestamp() + 600
    assert found["aura_night_ended_timestamp_seconds",] == ended
    assert found["aura_night_last_success_timestamp_seconds",] == ended
    assert found["aura_index_checked_timestamp_seconds",] == ended
    assert found["aura_night_problems",] == 0
    assert found["aura_night_step_ok", "prepare"] == 1
    assert found["aura_night_stage_seconds", "prepare"] == 12
    assert found["aura_night_promoted", "detection"] == 1
    assert found["aura_night_score", "ap50", "detection", "challenger"] == 0.5
    assert ("aura_night_score", "ap50", "detection", "champion") not in found, "there was none"
    assert found["aura_champion_created_timestamp_seconds", "detection", "3"] == FIRST.timestamp()
    drift = {key[1:]: value for key, value in found.items() if key[0] == "aura_drift_psi"}
    assert drift == {("analyze", "brightness", "moved far", "visual_analysis"): 0.4}, "the other rests on too little"
    assert found["aura_index_created_timestamp_seconds", "7"] == FIRST.timestamp() + 3600
    assert 100_000 <= found["aura_home_bytes", "mlflow"] < 200_000, "a file with two names counts once"


def test_a_failed_night_keeps_the_moment_of_the_last_good_one(own_home: Path) -> None:
    write_night_metrics(report(FIRST), {"index": True}, SERVES, own_home)
    second = FIRST + timedelta(days=1)
    file = write_night_metrics(report(second, index="no room"), {"index": False}, SERVES, own_home)
    found = values(file.read_text(encoding="utf-8"))
    assert found["aura_night_ended_timestamp_seconds",] == second.timestamp() + 600
    assert found["aura_night_last_success_timestamp_seconds",] == FIRST.timestamp() + 600
    assert found["aura_index_checked_timestamp_seconds",] == FIRST.timestamp() + 600
    assert (found["aura_night_problems",], found["aura_night_step_ok", "index"]) == (1, 0)


def test_a_file_that_is_no_metrics_does_not_keep_a_night_from_telling(own_home: Path) -> None:
    file = metrics_file(own_home, "sample")
    file.parent.mkdir(parents=True)
    file.write_text("{not metrics", encoding="utf-8")
    found = values(write_night_metrics(report(FIRST, index="x"), {}, SERVES, own_home).read_text(encoding="utf-8"))
    assert ("aura_night_last_success_timestamp_seconds",) not in found, "nobody knows of one"
    assert found["aura_night_problems",] == 1


def platform_text(folder: Path, database: str = "postgresql:///aura?host=/nowhere") -> str:
    """`/metrics` of the platform's health of a machine with nights of two profiles; its database is away."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    for profile in ("sample", "ccp"):
        write_night_metrics(report(FIRST, profile), {"index": True}, SERVES, home)
    (home / FOLDER / "broken.prom").write_text("{not metrics", encoding="utf-8")
    plan = HealthPlan(
        host="127.0.0.1", port=0, home=home, textfiles=home / FOLDER,
        certificate=own_certificate(folder / "tls", ["localhost"])[0],
        parts=[Part(name="accounts", group="accounts", url=f"http://127.0.0.1:{free_port()}", is_service=True)],
    )  # fmt: skip

    async def asked() -> str:
        async with TestClient(TestServer(make_app(plan))) as client:
            answer = await client.get("/metrics")
            assert answer.status == 200
            return await answer.text()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DATABASE_URL, database)
        return asyncio.run(asked())


def test_the_platform_tells_of_itself_and_of_all_nights(tmp_path: Path) -> None:
    text = platform_text(tmp_path)
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert text.count('aura_night_problems{profile="') == 2
    found = values(text)
    assert found["aura_database_up",] == 0
    assert found["aura_part_up", "accounts", "true", "accounts"] == 0
    assert found["aura_disk_bytes", "used"] > 0
    assert found["aura_disk_bytes", "available"] > 0
    days = (found["aura_certificate_end_timestamp_seconds",] - datetime.now(UTC).timestamp()) / 86400
    assert 396 < days <= 397


def test_a_database_that_answers_is_up(tmp_path: Path, postgres_server: LocalServer) -> None:
    assert values(platform_text(tmp_path, postgres_server.url()))["aura_database_up",] == 1
