"""MLflow's runs: what no version needs goes, first to where a person can restore it; on a real store."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from aura.artifact import write_text
from aura.errors import RegistryError
from aura.registry import Registry
from aura.tracking import TrackingSettings, experiment_id
from flows.maintenance.mlflow_runs import delete_unregistered, remove_deleted
from flows.maintenance.settings import MaintenanceSettings

_POLICY = MaintenanceSettings(keep_runs_days=90, keep_deleted_days=30)
_NOW = datetime.now(UTC)


class Store:
    """The store of a home, with a registered version and runs without one."""

    def __init__(self, home: Path) -> None:
        self.home = home
        settings = TrackingSettings()
        self.registry = Registry(settings, "sample")
        self.uri = self.registry.uri
        self.client = MlflowClient(self.uri, registry_uri=self.uri)
        artifact = home / "artifact"
        write_text(artifact / "config.json", "{}")
        self.version = self.registry.register("chat", artifact, run_id=None, tags={"candidate_id": "1"})
        self.experiment = experiment_id(self.client, settings, "sample/chat")
        self.elsewhere = experiment_id(self.client, settings, "sampler/chat")

    def run(self, days_ago: float, *, experiment: str = "", keep: bool = False) -> str:
        moment = round((_NOW - timedelta(days=days_ago)).timestamp() * 1000)
        tags = {"keep": "for the paper"} if keep else {}
        made = self.client.create_run(experiment or self.experiment, start_time=moment, tags=tags)
        return str(made.info.run_id)

    def age(self, table: str, column: str, run_id: str, days_ago: float) -> None:
        moment = round((_NOW - timedelta(days=days_ago)).timestamp() * 1000)
        with sqlite3.connect(self.home / "mlflow" / "mlflow.db") as database:
            database.execute(f"UPDATE {table} SET {column} = ? WHERE run_uuid = ?", (moment, run_id))

    def state(self, run_id: str) -> str:
        try:
            return str(self.client.get_run(run_id).info.lifecycle_stage)
        except MlflowException:
            return "gone"

    def artifacts(self, run_id: str) -> Path:
        return Path(self.client.get_run(run_id).info.artifact_uri.removeprefix("file://"))


def test_a_run_goes_when_no_version_needs_it_and_nobody_wants_it_back(own_home: Path) -> None:
    store = Store(own_home)
    store.age("runs", "start_time", store.version.run_id, 400)
    broken_off, wanted, new, of_another = (
        store.run(91), store.run(91, keep=True), store.run(89), store.run(91, experiment=store.elsewhere)
    )  # fmt: skip
    store.client.log_text(broken_off, "weights", "model/weights")
    files = store.artifacts(broken_off)
    assert delete_unregistered(store.uri, "sample", _POLICY, _NOW) == 1
    assert store.state(broken_off) == "deleted"
    assert {store.state(run) for run in (wanted, new, of_another, store.version.run_id)} == {"active"}
    store.age("runs", "deleted_time", broken_off, 29)
    assert remove_deleted(store.uri, _POLICY) == "0 deleted runs removed, 1 can be restored for 30 days"
    assert (files / "model" / "weights").is_file()
    store.age("runs", "deleted_time", broken_off, 31)
    assert remove_deleted(store.uri, _POLICY) == "1 deleted runs removed, 0 can be restored for 30 days"
    assert (store.state(broken_off), files.exists()) == ("gone", False)
    assert remove_deleted(store.uri, _POLICY) == "nothing is deleted"
    store.registry.verify(store.version)


def test_a_deleted_run_of_a_registered_version_is_told_and_nothing_is_removed(own_home: Path) -> None:
    store = Store(own_home)
    broken_off = store.run(91)
    for run in (store.version.run_id, broken_off):
        store.client.delete_run(run)
        store.age("runs", "deleted_time", run, 400)
    with pytest.raises(RegistryError, match=rf"{store.version.run_id} \(sample.chat v1\)") as caught:
        remove_deleted(store.uri, _POLICY)
    assert "mlflow runs restore" in caught.value.hint
    assert (store.state(store.version.run_id), store.state(broken_off)) == ("deleted", "deleted")


def test_a_run_that_came_back_without_its_experiment_is_told_too(own_home: Path) -> None:
    store = Store(own_home)
    broken_off = store.run(91, experiment=store.elsewhere)
    store.client.delete_experiment(store.client.get_run(store.version.run_id).info.experiment_id)
    store.client.restore_run(store.version.run_id)
    store.client.delete_run(broken_off)
    store.age("runs", "deleted_time", broken_off, 400)
    with pytest.raises(RegistryError, match=rf"{store.version.run_id} \(sample.chat v1\)") as caught:
        remove_deleted(store.uri, _POLICY)
    assert "mlflow experiments restore" in caught.value.hint
    assert (store.state(store.version.run_id), store.state(broken_off)) == ("active", "deleted")


def test_what_a_server_has_is_for_the_server() -> None:
    assert remove_deleted("http://mlflow:5000", _POLICY) == (
        "deleted runs are for its server to remove: mlflow gc --older-than 30d"
    )
