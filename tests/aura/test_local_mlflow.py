"""The registry of a home that was moved or copied, and of a database that lies elsewhere."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from mlflow import MlflowClient

from aura.artifact import content_hash, write_json
from aura.registry import CHAMPION, PREVIOUS, Registry
from aura.settings import validate
from aura.tracking import TrackingSettings, experiment_id, open_tracker, tracking_uri


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_json(tmp_path / "artifact" / "config.json", {"hidden": 4})
    return tmp_path / "artifact"


def register(artifact: Path, candidate: str) -> str:
    registry = Registry(TrackingSettings(), "test")
    run = open_tracker(
        TrackingSettings(), experiment="test/detection", run_name=candidate, folder=artifact.with_name(candidate)
    ).run_id
    return registry.register("detection", artifact, run_id=run, tags={"candidate_id": candidate}).version


def addresses(home: Path) -> list[str]:
    columns = {
        "experiments": ["artifact_location"],
        "runs": ["artifact_uri"],
        "model_versions": ["source", "storage_location"],
        "logged_models": ["artifact_location"],
    }
    with closing(sqlite3.connect(home / "mlflow" / "mlflow.db")) as connection:
        return [
            row[0]
            for table, names in columns.items()
            for name in names
            for row in connection.execute(f"SELECT {name} FROM {table}")
            if row[0] and "/mlflow/artifacts/" in row[0]
        ]


@pytest.mark.parametrize("name", ["elsewhere", "jürgen #1, 100% (new)"])
@pytest.mark.parametrize("how", ["moved", "copied"])
def test_the_registry_lies_where_its_home_lies(
    own_home: Path, tmp_path: Path, artifact: Path, monkeypatch: pytest.MonkeyPatch, how: str, name: str
) -> None:
    registry = Registry(TrackingSettings(), "test")
    for candidate in ("a", "b"):
        registry.promote("detection", register(artifact, candidate))
    before = set(own_home.rglob("*"))
    new = tmp_path / name
    own_home.rename(new) if how == "moved" else shutil.copytree(own_home, new)
    monkeypatch.setenv("AURA_HOME", str(new))

    moved = Registry(TrackingSettings(), "test")
    assert moved.rollback("detection").version == "1"
    for alias in (CHAMPION, PREVIOUS):
        version = moved.at("detection", alias)
        assert version is not None
        assert content_hash(moved.download(version, tmp_path / "got" / alias)) == content_hash(artifact)
    assert register(artifact, "c") == "3"
    moved.verify(moved.version("detection", "3"))
    found = addresses(new)
    assert len(found) >= 10
    assert all(address.startswith(f"{new.as_uri()}/mlflow/artifacts/") for address in found)
    if how == "moved":
        assert not own_home.exists()
    else:
        assert set(own_home.rglob("*")) == before, "the original is another home"


def test_an_experiment_with_a_place_of_its_own_keeps_it(own_home: Path, tmp_path: Path) -> None:
    client = MlflowClient(tracking_uri(TrackingSettings()))
    client.create_experiment("mine", artifact_location=(tmp_path / "mine").as_uri())
    tracking_uri(TrackingSettings())
    assert client.get_experiment_by_name("mine").artifact_location == (tmp_path / "mine").as_uri()
    assert own_home.is_dir()


def test_a_relative_database_is_one_for_all_processes_with_its_artifacts_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("command", "stage"):
        (tmp_path / folder).mkdir()
    monkeypatch.chdir(tmp_path / "command")
    settings = validate(TrackingSettings, {"uri": "sqlite:///runs.db"})
    client = MlflowClient(tracking_uri(settings))
    made = experiment_id(client, settings, "test/detection")
    monkeypatch.chdir(tmp_path / "stage")
    again = MlflowClient(tracking_uri(validate(TrackingSettings, settings.model_dump(mode="json"))))
    run = again.create_run(made)
    again.log_text(run.info.run_id, "text", "file.txt")
    assert list((tmp_path / "stage").iterdir()) == []
    assert run.info.artifact_uri.startswith((tmp_path / "command" / "artifacts" / "test-detection").as_uri())


def test_a_run_of_nobodys_experiment_leaves_its_files_in_the_home(
    own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "working directory"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    uri = tracking_uri(TrackingSettings())
    client = MlflowClient(uri, registry_uri=uri)
    run = client.create_run("0")
    client.log_text(run.info.run_id, "weights", "weights")
    assert [*elsewhere.iterdir()] == []
    assert [*(own_home / "mlflow" / "artifacts" / "Default").rglob("weights")]
