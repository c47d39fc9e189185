"""What autovacuum leaves: tables without statistics, or with old ones; on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import LiteralString, TypeVar

import psycopg

from stores.database import Connection, Database
from stores.settings import DatabaseSettings
from stores.table_health import TableHealth, analyze, table_health

T = TypeVar("T")
_ROWS = 40
"""Fewer than the 50 changes that autovacuum waits for: it never comes."""
_WEEK = timedelta(days=7)


def in_transaction(url: str, work: Callable[[Connection], Awaitable[T]]) -> T:
    async def opened() -> T:
        database = Database(url, DatabaseSettings(connections=1))
        await database.open()
        try:
            return await database.run(work)
        finally:
            await database.close()

    return asyncio.run(opened())


def change(url: str, statement: LiteralString) -> None:
    """Execute, and make sure that the counters know of it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.execute("SELECT 1")


def health_of(url: str, table: str, age: timedelta = _WEEK) -> TableHealth:
    tables = in_transaction(url, lambda connection: table_health(connection, age))
    return next(found for found in tables if found.table == table)


def test_a_filled_table_lacks_statistics_until_it_is_analyzed(database_url: str) -> None:
    change(database_url, 'CREATE TABLE "Odd name" AS SELECT generate_series(1, 40) AS number')
    assert health_of(database_url, "Odd name").statistics == "missing"
    in_transaction(database_url, lambda connection: analyze(connection, "Odd name"))
    found = health_of(database_url, "Odd name")
    assert (found.statistics, found.rows, found.dead) == ("fresh", _ROWS, 0)
    assert found.size_bytes > 0


def test_statistics_grow_old_only_where_rows_have_changed(database_url: str) -> None:
    change(database_url, "CREATE TABLE toy AS SELECT generate_series(1, 40) AS number")
    in_transaction(database_url, lambda connection: analyze(connection, "toy"))
    assert health_of(database_url, "toy", timedelta(0)).statistics == "fresh", "nothing has changed"
    change(database_url, "DELETE FROM toy WHERE number <= 10")
    assert health_of(database_url, "toy").statistics == "fresh", "they are of this week"
    found = health_of(database_url, "toy", timedelta(0))
    assert found.statistics == "old"
    assert (found.rows, found.dead, found.dead_share) == (30, 10, 0.25)
