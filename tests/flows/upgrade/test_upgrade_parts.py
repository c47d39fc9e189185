"""Parts of an upgrade: a migrated copy takes a database's place, packages are compared with lock files, a newer index is told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import lancedb
import pytest

from aura.errors import BusyError
from flows.backup import contents
from flows.backup.contents import copy_sqlite
from flows.upgrade import sqlite_copy
from flows.upgrade.packages import Packages
from flows.upgrade.served import ServedIndex
from flows.upgrade.sqlite_copy import SCRATCH, replace_migrated


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """In WAL mode, as Prefect's is, with a row that a killed server has left in the log beside it."""
    source, killed = tmp_path / "running.db", tmp_path / "killed.db"
    with closing(sqlite3.connect(source)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE runs (name TEXT)")
        connection.execute("INSERT INTO runs VALUES ('night')")
        connection.commit()
        for kind in ("", "-wal"):
            killed.with_name(killed.name + kind).write_bytes(source.with_name(source.name + kind).read_bytes())
    killed.chmod(0o600)
    return killed


def names(database: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT * FROM runs").fetchall()


def widen(copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as connection, connection:
        connection.execute("ALTER TABLE runs ADD COLUMN step TEXT DEFAULT 'one'")


def test_a_copy_with_all_that_was_in_the_log_takes_the_place(database: Path) -> None:
    replace_migrated(database, widen)
    assert names(database) == [("night", "one")]
    assert database.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in database.parent.glob("*killed*")] == ["killed.db"]


def test_a_migration_that_fails_leaves_the_database_as_it_was(database: Path) -> None:
    def fails(copy: Path) -> None:
        widen(copy)
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError):
        replace_migrated(database, fails)
    assert names(database) == [("night",)]
    assert [*database.parent.glob(f"{SCRATCH}*")] == []


def test_a_database_that_somebody_has_open_stays(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT * FROM runs").fetchall()
        with pytest.raises(BusyError, match="is in use"):
            replace_migrated(database, widen)
    assert names(database) == [("night",)]


def test_a_database_that_was_written_to_meanwhile_stays(database: Path) -> None:
    def while_somebody_writes(copy: Path) -> None:
        widen(copy)
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("INSERT INTO runs VALUES ('another')")

    with pytest.raises(BusyError, match="is in use, and stays"):
        replace_migrated(database, while_somebody_writes)
    assert names(database) == [("night",), ("another",)]


def test_a_database_of_gigabytes_is_copied_twice_and_not_more(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[Path] = []

    def copying(source: Path, target: Path) -> None:
        copied.append(target)
        copy_sqlite(source, target)

    for module in (contents, sqlite_copy):
        monkeypatch.setattr(module, "copy_sqlite", copying)
    replace_migrated(database, widen)
    assert len(copied) == 2, "one to migrate, one to see that nobody wrote meanwhile"
    assert names(database) == [("night", "one")]


def test_packages_are_those_of_the_lock_file_that_is_nearest(tmp_path: Path) -> None:
    (tmp_path / "requirements-cuda.lock").write_text(
        "# comment\ntorch==2.14.1 \\\n    --hash=sha256:00\nmlflow==3.17.2\nnvidia-cuda==13.0\n"
        'winonly==1.0 ; sys_platform == "win32" \\\n    --hash=sha256:00\n'
    )
    (tmp_path / "requirements-cpu.lock").write_text("torch==2.14.1\nMLflow==3.17.2\n")
    same = {"torch": "2.14.1+cpu", "mlflow": "3.17.2", "something": "1.0"}
    assert Packages(tmp_path, same).look().refusal == ""
    older = Packages(tmp_path, same | {"mlflow": "3.16.0"}).look()
    assert older.refusal == "packages are not those of requirements-cpu.lock (MLflow 3.16.0): run `make setup` first"
    assert "torch missing" in Packages(tmp_path, {"mlflow": "3.17.2"}).look().refusal
    assert Packages().look().refusal == "", "this environment is that of a lock file"


def test_an_index_of_a_newer_aura_is_refused(tmp_path: Path) -> None:
    assert ServedIndex(str(tmp_path / "none"), "sample").look().stands == "none yet"
    rows = [{"name": "serving", "number": 1, "knowledge_version": 1, "invented_later": "x"}]
    lancedb.connect(str(tmp_path / "index")).create_table("releases", rows)
    assert "a newer Aura has made the index" in ServedIndex(str(tmp_path / "index"), "sample").look().refusal
    assert "invented_later" in ServedIndex(str(tmp_path / "index"), "sample").look().refusal
