"""Migrations: from nothing and from every earlier revision, once, and never backwards."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from aura.errors import DatabaseError
from stores import schema
from tests.stores.earlier_schemas import STEPS, fill, require_kept, rows, tables, upgrade_to


def test_an_empty_database_gets_the_schema_and_a_current_one_is_left_alone(empty_database: str) -> None:
    before = schema.status(empty_database)
    assert (before.current, before.is_current) == (None, False)
    assert before.pending[0].startswith("0001 People")
    assert schema.upgrade(empty_database) == before
    assert schema.status(empty_database).is_current
    assert {"users", "sessions", "refresh_tokens"} <= tables(empty_database)
    assert schema.upgrade(empty_database).pending == []


@pytest.mark.parametrize("revision", STEPS)
def test_data_of_every_earlier_revision_is_there_after_the_upgrade(empty_database: str, revision: str) -> None:
    upgrade_to(empty_database, revision)
    fill(empty_database, revision)
    before = rows(empty_database)
    assert all(before.values()), "each table has a row"
    schema.upgrade(empty_database)
    assert schema.status(empty_database).is_current
    require_kept(before, rows(empty_database))


def test_processes_that_start_at_once_migrate_once(empty_database: str) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys; from stores import schema; print(len(schema.upgrade(sys.argv[1]).pending))",
    ]
    steps = len(schema.status(empty_database).pending)
    with ThreadPoolExecutor() as threads:
        ran = [
            *threads.map(lambda _: subprocess.run([*command, empty_database], capture_output=True, text=True), range(4))
        ]
    assert [run.returncode for run in ran] == [0] * 4, [run.stderr for run in ran]
    assert [run.stdout for run in sorted(ran, key=lambda run: run.stdout)] == ["0\n", "0\n", "0\n", f"{steps}\n"]


def test_a_schema_that_is_newer_than_the_code_is_refused_in_words(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    for action in (schema.status, schema.upgrade):
        with pytest.raises(DatabaseError, match="is at 9999, which this code does not know") as caught:
            action(database_url)
        assert "restore a backup" in caught.value.hint


def test_a_step_that_fails_leaves_the_schema_as_it_was(empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE TABLE refresh_tokens (id int)")  # in the way of the first step's last table
    with pytest.raises(DatabaseError, match="refresh_tokens"):
        schema.upgrade(empty_database)
    assert tables(empty_database) == {"refresh_tokens"}
