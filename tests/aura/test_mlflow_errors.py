"""What is wrong with the MLflow store is told in one sentence: the store, its address, and what to do about this very cause."""

from __future__ import annotations

import ast
import os
import shutil
import socket
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow import MlflowClient

from aura.artifact import write_json
from aura.errors import DamagedArtifactError, RegistryError, RegistryUnavailableError
from aura.paths import repo_root
from aura.registry import Registry
from aura.tracking import TrackingSettings, open_tracker, tracking_uri


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database as MLflow makes it, with an experiment."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{file}", registry_uri=f"sqlite:///{file}").create_experiment("test/detection")
    return file


def change(file: Path, statement: str) -> None:
    with sqlite3.connect(file) as database:
        database.execute(statement)
    database.close()


def old(file: Path) -> None:
    change(file, "UPDATE alembic_version SET version_num = '451aebb31d03'")


def no_database(file: Path) -> None:
    file.write_bytes(b"a page of a proxy, saved under this name\n" * 100)


def torn(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[4096:] = b"\x55" * (len(content) - 4096)
    file.write_bytes(content)


def without_a_table(file: Path) -> None:
    change(file, "DROP TABLE registered_model_aliases")
    change(file, "DROP TABLE experiments")


@pytest.mark.parametrize(
    ("damage", "said", "hint"),
    [
        (old, "of another version of MLflow", "aura upgrade run --backup"),
        (no_database, "its database is damaged", "from a backup"),
        (torn, "its database is damaged", "from a backup"),
        (without_a_table, "its database is damaged", "from a backup"),
    ],
)
@pytest.mark.parametrize("door", ["registry", "training"])
def test_a_database_that_cannot_be_used_is_told(
    made: Path, tmp_path: Path, damage: Callable[[Path], None], said: str, hint: str, door: str
) -> None:
    file = Path(shutil.copy(made, tmp_path / "mlflow.db"))
    damage(file)
    with pytest.raises(RegistryError, match=said) as caught:
        use(TrackingSettings(uri=f"sqlite:///{file}"), door, tmp_path)
    assert str(file) in caught.value.message
    assert hint in caught.value.hint
    assert len(caught.value.message.splitlines()) == 1
    assert not caught.value.transient


def use(settings: TrackingSettings, door: str, folder: Path) -> None:
    if door == "registry":
        Registry(settings, "test").versions("detection")
    else:
        open_tracker(settings, experiment="test/detection", run_name="one", folder=folder)


@pytest.mark.parametrize("door", ["registry", "training"])
@pytest.mark.parametrize(
    ("uri", "said", "hint"),
    [
        ("postgresql://mlops.test/mlflow", "the driver of its address, psycopg2, is not installed", "psycopg2-binary"),
        ("mysql+pymysql://mlops.test/mlflow", "pymysql, is not installed", "pip install pymysql"),
        ("oracle-of-delphi://mlops.test", "no store at such an address", "set tracking.uri to http"),
        ("/some/folder", "no store at such an address", "sqlite:///FILE"),
    ],
)
def test_an_address_that_leads_nowhere_is_told(tmp_path: Path, door: str, uri: str, said: str, hint: str) -> None:
    with pytest.raises(RegistryError, match=said) as caught:
        use(TrackingSettings(uri=uri), door, tmp_path)
    assert uri in caught.value.message
    assert hint in caught.value.hint
    assert not caught.value.transient


@contextmanager
def another_account() -> Iterator[None]:
    """Without root's right to write everywhere."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    yield
    os.seteuid(before)


def test_a_folder_that_this_account_cannot_write_is_told_at_once(made: Path, tmp_path: Path) -> None:
    """MLflow alone would try for 100 seconds."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    shutil.copy(made, folder / "mlflow.db")
    for path in (folder / "mlflow.db", folder, *tmp_path.parents[:2], tmp_path):
        path.chmod(0o555)
    began = time.monotonic()
    for file in (folder / "mlflow.db", folder / "new.db"):
        with another_account(), pytest.raises(RegistryError, match="this account cannot open or write it") as caught:
            Registry(TrackingSettings(uri=f"sqlite:///{file}"), "test")
        assert "AURA_HOME" in caught.value.hint
    assert time.monotonic() - began < 90
    folder.chmod(0o755)


_DRIVER = """
# Stands for psycopg2: Aura installs no driver.
__version__, paramstyle, apilevel, threadsafety = "2.9.10 (dt dec pq3 ext lo64)", "pyformat", "2.0", 2

class Error(Exception): ...

class OperationalError(Error): ...
class extensions: ...
class extras: HstoreAdapter = None

def connect(*arguments, **options):
    raise OperationalError('connection failed: FATAL: password authentication failed for user "aura"\\nmore')
"""


@pytest.mark.parametrize("door", ["registry", "training"])
def test_a_database_server_that_is_away_or_refuses_is_told_before_mlflow_tries_for_100_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    (tmp_path / "psycopg2.py").write_text(_DRIVER, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "psycopg2", raising=False)
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        settings = TrackingSettings(uri=f"postgresql://aura@127.0.0.1:{port}/mlflow")
        with pytest.raises(RegistryError, match="does not let this account in") as refused:
            use(settings, door, tmp_path)
    assert "PGPASSWORD" in refused.value.hint
    assert not refused.value.transient
    with pytest.raises(RegistryUnavailableError, match=f"aura@127.0.0.1:{port}/mlflow does not answer") as away:
        use(settings, door, tmp_path)
    for error in (refused.value, away.value):
        assert len(error.message.splitlines()) == 1
    assert time.monotonic() - began < 90
    monkeypatch.delitem(sys.modules, "psycopg2")


def test_a_deleted_experiment_is_told_with_the_command_that_brings_it_back(tmp_path: Path) -> None:
    settings = TrackingSettings()
    open_tracker(settings, experiment="test/detection", run_name="one", folder=tmp_path / "one")
    client = MlflowClient(tracking_uri(settings))
    experiment = client.get_experiment_by_name("test/detection").experiment_id
    client.delete_experiment(experiment)
    with pytest.raises(RegistryError, match=f"the experiment {experiment}, .* has been deleted") as caught:
        open_tracker(settings, experiment="test/detection", run_name="two", folder=tmp_path / "two")
    assert f"mlflow experiments restore --experiment-id {experiment}" in caught.value.hint
    artifact = tmp_path / "artifact"
    write_json(artifact / "config.json", {"hidden": 4})
    with pytest.raises(RegistryError, match="has been deleted"):
        Registry(settings, "test").register("detection", artifact, run_id=None, tags={"candidate_id": "a"})


def test_a_champion_whose_run_was_collected_is_damaged_and_not_put_back(own_home: Path, tmp_path: Path) -> None:
    """As `mlflow gc` leaves it: the version is there, its run and files are not."""
    settings = TrackingSettings()
    registry = Registry(settings, "test")
    artifact = tmp_path / "artifact"
    write_json(artifact / "config.json", {"hidden": 4})
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    database = own_home / "mlflow" / "mlflow.db"
    for table in ("latest_metrics", "metrics", "params", "tags", "runs"):
        change(database, f"DELETE FROM {table} WHERE run_uuid = '{version.run_id}'")
    with pytest.raises(DamagedArtifactError, match=r"version 1 of test\.detection cannot be copied") as caught:
        registry.download(version, tmp_path / "got")
    assert "aura models list" in caught.value.hint
    assert not registry.put_back(version, artifact)


def test_another_registry_that_the_environment_names_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow's client would call it, in silence, for two minutes."""
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://127.0.0.1:9")
    artifact = tmp_path / "artifact"
    write_json(artifact / "config.json", {"hidden": 4})
    registry = Registry(TrackingSettings(), "test")
    registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    assert [version.version for version in registry.versions("detection")] == ["1"]


def test_a_server_that_goes_away_during_a_training_is_worth_another_try(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(RegistryUnavailableError, match=r"at http://127.0.0.1:9 answered") as caught:
        open_tracker(TrackingSettings(uri="http://127.0.0.1:9"), experiment="x", run_name="x", folder=tmp_path)
    assert caught.value.transient
    assert "Traceback" not in str(caught.value)


def test_what_breaks_in_the_middle_of_a_training_is_told_too(own_home: Path, tmp_path: Path) -> None:
    tracker = open_tracker(TrackingSettings(), experiment="test/detection", run_name="one", folder=tmp_path)
    change(own_home / "mlflow" / "mlflow.db", "DROP TABLE metrics")
    with pytest.raises(RegistryError, match="its database is damaged"), tracker.told():
        tracker.log_metrics({"loss": 1.0}, step=1)


def test_no_client_is_made_that_would_ask_it() -> None:
    for path in sorted((repo_root() / "aura").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "MlflowClient":
                assert "registry_uri" in {keyword.arg for keyword in node.keywords}, f"{path.name}:{node.lineno}"
