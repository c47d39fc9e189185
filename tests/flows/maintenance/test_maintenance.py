"""A whole maintenance on a real Prefect engine, PostgreSQL and MLflow store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from prefect.client.orchestration import get_client
from prefect.flow_engine import run_flow
from prefect.states import Pending, Running, StateType
from prefect.testing.utilities import prefect_test_harness

from aura.artifact import write_text
from aura.paths import profile_paths
from aura.registry import Registry
from aura.tracking import TrackingSettings
from flows.maintenance import flow as maintenance_flow
from flows.maintenance.flow import maintenance, run
from flows.maintenance.mlflow_runs import remove_deleted
from flows.maintenance.settings import MaintenanceSettings
from flows.profile import load_profile
from flows.worker import end_dead_runs
from flows.workspace import Workspace

_QUIET = ["maintenance.audit=false"]


@pytest.fixture(scope="module", autouse=True)
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=300):
        yield


def opened() -> Workspace:
    return Workspace(profile_paths("sample"), load_profile("sample"))


def test_a_home_is_looked_after_and_the_report_says_so(
    own_home: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURA_DATABASE_URL", database_url)
    write_text(own_home / "artifact" / "config.json", "{}")
    registry, lock = Registry(TrackingSettings(), "sample"), opened().lock
    while_runs_are_removed: list[int | None] = []

    def removing(uri: str, policy: MaintenanceSettings) -> str:
        while_runs_are_removed.append(lock.holder())
        return remove_deleted(uri, policy)

    monkeypatch.setattr(maintenance_flow, "remove_deleted", removing)
    version = registry.register("chat", own_home / "artifact", run_id=None, tags={"candidate_id": "1"})
    report = run("sample", _QUIET)
    assert report.problems == {}
    assert report.tables is not None
    assert "users" in report.analyzed, "a new database has no statistics"
    with psycopg.connect(database_url) as connection:
        connection.execute("SELECT pg_stat_force_next_flush()")
    again = run("sample", _QUIET)
    assert again.analyzed == []
    assert again.sentences["MLflow"] == ("0 runs without a version deleted, older than 90 days; nothing is deleted")
    assert while_runs_are_removed == [None, None], "mlflow gc may take minutes, and a night may be due"
    registry.verify(version)
    reports = profile_paths("sample").reports
    text = (reports / "maintenance.md").read_text(encoding="utf-8")
    assert "| users | 0 | 0 | 0 |" in text
    assert "| mlflow | " in text
    values = json.loads((reports / "maintenance.json").read_text(encoding="utf-8"))
    assert (values["good"], values["schema"]) == (True, 1)
    assert values["disk_after"]["mlflow"] > 0
    with get_client(sync_client=True) as client:
        names = {artifact.key for artifact in client.read_artifacts()}
    assert "maintenance-sample" in names


def test_beside_a_night_the_rest_is_done_and_the_lock_is_told() -> None:
    with opened().lock.held("a-night"):
        report = run("sample", _QUIET)
    assert set(report.problems) == {"lock"}
    assert "another run of profile 'sample' is under way" in report.problems["lock"]
    assert report.sentences["Prefect"].endswith("its server removes them after 90 days")


def test_a_worker_that_starts_ends_a_dead_maintenance_and_no_live_one(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[str] = []

    def as_a_worker_starts(_: datetime) -> tuple[str, str]:
        ended.extend(end_dead_runs())
        return "looked at", ""

    monkeypatch.setattr(maintenance_flow, "prefect_runs", as_a_worker_starts)
    parameters = {"profile": "sample", "overrides": _QUIET}
    with get_client(sync_client=True) as client:
        deployment = client.create_deployment(client.create_flow(maintenance), "maintenance")
        live, dead = (
            client.create_flow_run_from_deployment(deployment, parameters=parameters, state=state, name=name)
            for name, state in (("live", Pending()), ("dead", Running()))
        )
        run_flow(maintenance, flow_run=live, parameters=parameters)
        assert ended == ["dead"]
        states = [client.read_flow_run(made.id).state_type for made in (live, dead)]
    assert states == [StateType.COMPLETED, StateType.CRASHED]
