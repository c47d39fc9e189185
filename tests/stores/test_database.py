"""Units of work: committed or not at all, again when they cross, refused in words when the server is away."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from aura.errors import DatabaseUnavailableError, SettingsError
from stores.address import given_url, required_url, shown
from stores.database import Connection, Database
from stores.local_server import LocalServer
from stores.settings import DatabaseSettings


@asynccontextmanager
async def opened(url: str, settings: DatabaseSettings | None = None) -> AsyncIterator[Database]:
    database = Database(url, settings or DatabaseSettings())
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def numbers(connection: Connection) -> list[int]:
    return [row[0] for row in await (await connection.execute("SELECT n FROM kept ORDER BY n")).fetchall()]


@pytest.fixture
def kept(empty_database: str) -> str:
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE TABLE kept (n int)")
    return empty_database


def test_work_is_committed_and_an_exception_rolls_it_back(kept: str) -> None:
    async def run() -> list[int]:
        async def add(connection: Connection) -> None:
            await connection.execute("INSERT INTO kept VALUES (1)")

        async def fail(connection: Connection) -> None:
            await connection.execute("INSERT INTO kept VALUES (2)")
            raise LookupError

        async with opened(kept) as database:
            await database.run(add)
            with pytest.raises(LookupError):
                await database.run(fail)
            return await database.run(numbers)

    assert asyncio.run(run()) == [1]


def test_work_that_others_cross_is_done_again(kept: str) -> None:
    """Each adds the next number; as if one after the other, all numbers differ."""
    calls = 0

    async def add_next(connection: Connection) -> None:
        nonlocal calls
        calls += 1
        last = max(await numbers(connection), default=0)
        await asyncio.sleep(0.01)
        await connection.execute("INSERT INTO kept VALUES (%s)", (last + 1,))

    async def run() -> list[int]:
        async with opened(kept, DatabaseSettings(tries=50, work_seconds=60)) as database:
            await asyncio.gather(*(database.run(add_next, serializable=True) for _ in range(5)))
            return await database.run(numbers)

    assert asyncio.run(run()) == [1, 2, 3, 4, 5]
    assert calls > 5, "they crossed"


def test_a_statement_that_takes_too_long_is_ended_by_the_server(kept: str) -> None:
    async def run() -> None:
        async with opened(kept, DatabaseSettings(statement_seconds=0.2)) as database:
            with pytest.raises(DatabaseUnavailableError, match="QueryCanceled"):
                await database.run(lambda connection: connection.execute("SELECT pg_sleep(60)"))
            assert await database.run(numbers) == []

    asyncio.run(run())


def test_a_transaction_whose_process_sleeps_is_ended_by_the_server(kept: str) -> None:
    async def sleep(connection: Connection) -> None:
        await connection.execute("SELECT 1")
        await asyncio.sleep(1)
        await connection.execute("SELECT 1")

    async def run() -> None:
        async with opened(kept, DatabaseSettings(idle_transaction_seconds=0.2)) as database:
            with pytest.raises(DatabaseUnavailableError):
                await database.run(sleep)
            assert await database.run(numbers) == []

    asyncio.run(run())


@pytest.mark.slow
def test_a_server_that_is_frozen_killed_and_back_is_used_again(tmp_path: Path) -> None:
    server = LocalServer(tmp_path / "postgres")

    async def run() -> None:
        settings = DatabaseSettings(work_seconds=1, wait_seconds=1)
        async with opened(server.url(), settings) as database:
            await database.ping()
            for stop, resume in ((signal.SIGSTOP, signal.SIGCONT), (signal.SIGKILL, None)):
                await _wait_until(database)
                family = _family(server)
                for pid in family:
                    os.kill(pid, stop)
                if stop is signal.SIGSTOP:
                    with pytest.raises(DatabaseUnavailableError):
                        await database.ping()
                if resume is not None:
                    for pid in family:
                        os.kill(pid, resume)
            await _wait_until(database)

    with server.running(120, tmp_path / "log"):
        asyncio.run(run())


async def _wait_until(database: Database) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                return await database.ping()
            except DatabaseUnavailableError:
                await asyncio.sleep(0.2)


def _family(server: LocalServer) -> list[int]:
    import psutil

    pid = int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
    process = psutil.Process(pid)
    return [pid, *(child.pid for child in process.children(recursive=True))]


@pytest.mark.parametrize("url", ["sqlite:///x", "host=db password=secret1", "postgresql://u:secret1@h/db?bogus=1"])
def test_an_address_of_something_else_is_refused_without_being_shown(url: str) -> None:
    with pytest.raises(SettingsError, match="is no address of a PostgreSQL server") as caught:
        given_url({"AURA_DATABASE_URL": url})
    assert "secret1" not in str(caught.value)


def test_a_missing_address_is_asked_for() -> None:
    assert given_url({}) == ""
    with pytest.raises(SettingsError, match="AURA_DATABASE_URL is not set"):
        required_url({})
    assert shown("postgresql://aura_user:secret1@db.example/aura_platform") == "aura_platform at db.example:5432"
