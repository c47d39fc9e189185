"""`aura upgrade` from the state of earlier releases: refused, killed, repeated, and everything is readable afterwards."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from mlflow import MlflowClient
from sqlalchemy.engine import URL, make_url
from typer.testing import CliRunner

from aura.errors import AuraError, UpgradeError
from aura.paths import repo_root
from aura.registry import Registry
from aura.releases import Releases
from aura.tracking import TrackingSettings
from flows.cli.app import app
from flows.prefect_server import PREFECT_DATABASE_URL, quiet_environment
from flows.run_lock import RunLock
from flows.upgrade.sqlite_copy import SCRATCH
from stores import schema
from tests.flows.upgrade.earlier_databases import (
    FLOW,
    LOSS,
    MLFLOW_REVISION,
    PREFECT_REVISION,
    RUN,
    make_mlflow,
    make_prefect,
    read_prefect,
)
from tests.stores.earlier_schemas import STEPS, fill, require_kept, rows, upgrade_to

pytestmark = pytest.mark.slow
_HANG_SECONDS = 200


@pytest.fixture(autouse=True)
def environment(own_home: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*quiet_environment(), "PREFECT_API_URL", PREFECT_DATABASE_URL]:
        monkeypatch.setenv(name, "")  # what a command sets is taken back with it
        monkeypatch.delenv(name)
    monkeypatch.setenv("AURA_DATABASE_URL", empty_database)
    monkeypatch.setenv("AURA_BACKUP__PLAIN", "true")
    monkeypatch.setenv("AURA_BACKUP__REPOSITORY", str(own_home.with_name("backups")))


def aura(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["upgrade", *arguments])
    if isinstance(result.exception, AuraError):
        raise result.exception
    assert result.exit_code == code, (result.output, result.exception)
    return result.output


def revision(database: Path) -> str:
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


def test_a_home_of_earlier_releases_is_brought_up_to_date(own_home: Path, empty_database: str) -> None:
    mlflow, prefect = own_home / "mlflow" / "mlflow.db", own_home / "prefect" / "prefect.db"
    upgrade_to(empty_database, STEPS[0])
    fill(empty_database, STEPS[0])
    people = rows(empty_database)
    mlflow.parent.mkdir(parents=True)
    make_mlflow(URL.create("sqlite", database=str(mlflow)))
    make_prefect(prefect)

    told = aura("check", code=1)
    assert max(map(len, told.splitlines()[:12])) <= 80
    for standing in (STEPS[0], STEPS[-1], MLFLOW_REVISION, PREFECT_REVISION, "as locked", "after mlflow"):
        assert standing in told
    assert "there is no backup: `aura upgrade run --backup` makes one first" in told
    with pytest.raises(
        UpgradeError, match="nothing was upgraded:\n- there is no backup, and what is ahead cannot be undone"
    ):
        aura("run")
    assert schema.status(empty_database).current == STEPS[0]
    assert (revision(mlflow), revision(prefect)) == (MLFLOW_REVISION, PREFECT_REVISION), "looking has changed them"

    kill_in_the_middle(mlflow.parent)
    assert schema.status(empty_database).is_current, "the database comes first"
    assert revision(mlflow) == MLFLOW_REVISION
    with closing(sqlite3.connect(mlflow)) as connection:
        assert connection.execute("SELECT run_uuid FROM runs").fetchall() == [(RUN,)]

    told = aura("run")  # the backup of the killed run is of what is still ahead
    assert "is what was written" in told
    assert f"from {MLFLOW_REVISION} to" in told
    assert f"from {PREFECT_REVISION} to" in told
    assert "releases: a release of detection 1" in told
    assert "everything is up to date" in told
    assert not [*own_home.rglob(f"{SCRATCH}*")], "the copy of the killed run is gone"
    require_kept(people, rows(empty_database))
    assert MlflowClient(f"sqlite:///{mlflow}").get_run(RUN).data.metrics == {"loss": LOSS}
    serving = Releases(Registry(TrackingSettings(), "sample")).serving()
    assert serving is not None
    assert serving.models == {"detection": "1"}
    assert f"FLOW {FLOW}" in read_prefect(prefect)

    files = {path: path.read_bytes() for path in (mlflow, prefect)}
    assert aura("run") == "everything is up to date\n"
    assert {path: path.read_bytes() for path in files} == files
    assert json.loads(aura("check", "--json"))["refusals"] == []


def test_a_home_without_anything_stays_without(own_home: Path, empty_database: str) -> None:
    stores = json.loads(aura("check", "--json"))["stores"]
    assert {name: store["stands"] for name, store in stores.items()} == {
        "packages": "as locked", "database": "empty", "mlflow": "none yet", "prefect": "none yet", "index": "none yet",
        "releases": "none yet",
    }  # fmt: skip
    assert aura("run") == "everything is up to date\n"
    assert not own_home.exists()
    assert schema.status(empty_database).current is None


def kill_in_the_middle(folder: Path) -> None:
    """Kill `aura upgrade run --backup` when it has begun to migrate MLflow's database."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli.app", "upgrade", "run", "--backup"], cwd=repo_root(),
        env=os.environ | {"PYTHONPATH": str(repo_root())}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    limit = time.monotonic() + _HANG_SECONDS
    while not [*folder.glob(f"{SCRATCH}*/*/mlflow.db")]:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < limit
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()


def test_what_stands_in_the_way_is_said_before_anything_changes(own_home: Path, empty_database: str) -> None:
    """A store that is newer, one that is in use, a backup that is older than the last change, and a night that runs."""
    mlflow = own_home / "mlflow" / "mlflow.db"
    mlflow.parent.mkdir(parents=True)
    make_mlflow(URL.create("sqlite", database=str(mlflow)))
    schema.upgrade(empty_database)
    reader = subprocess.Popen(
        [sys.executable, "-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM runs'); "
         "print(1, flush=True); input()", str(mlflow)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert reader.stdout is not None
    reader.stdout.readline()
    assert f"mlflow is in use by process {reader.pid}" in aura("check", code=3)
    with pytest.raises(UpgradeError, match=f"mlflow is in use by process {reader.pid}"):
        aura("run", "--backup")
    assert not own_home.with_name("backups").exists(), "what is refused anyway needs none"
    reader.communicate(b"\n")

    assert CliRunner().invoke(app, ["backup", "create"]).exit_code == 0
    assert revision(mlflow) == MLFLOW_REVISION, "a backup has changed it"
    assert "backup" not in aura("check", code=1)
    with closing(sqlite3.connect(mlflow)) as connection, connection:
        connection.execute("UPDATE runs SET name = 'another'")
    with pytest.raises(UpgradeError, match=r"backup \S+ is older than the last change of mlflow"):
        aura("run")

    folder = own_home / "pipelines" / "sample"
    (folder / ".git").mkdir(parents=True)
    with RunLock(folder, "sample").held("a night"), pytest.raises(AuraError, match="another run of profile 'sample'"):
        aura("run")
    (folder / ".git").rmdir()

    with closing(sqlite3.connect(mlflow)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "is at 9999, which this code does not know" in " ".join(aura("check", code=3).split())
    with pytest.raises(
        UpgradeError, match="a newer MLflow has used this database; start that one, or restore a backup"
    ):
        aura("run", "--backup")
    assert revision(mlflow) == "9999"


def test_mlflow_on_a_server_of_its_own_is_migrated_when_a_person_has_a_copy(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AURA_DATABASE_URL")
    address = empty_database.replace("postgresql:", "postgresql+psycopg:")
    make_mlflow(make_url(address))
    monkeypatch.setenv("AURA_TRACKING__URI", address)
    with pytest.raises(UpgradeError, match="no backup of ours holds mlflow, as it lies elsewhere"):
        aura("run", "--backup")
    with (
        psycopg.connect(empty_database),
        pytest.raises(UpgradeError, match="mlflow is in use by a client of PostgreSQL"),
    ):
        aura("run", "--backed-up", "mlflow")
    assert "everything is up to date" in aura("run", "--backed-up", "mlflow")
    assert MlflowClient(address).get_run(RUN).data.metrics == {"loss": LOSS}
