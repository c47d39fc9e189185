"""The prediction log in a real database: what is written is read back, and what is old goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import psycopg
import pytest

from aura.errors import DatabaseError
from stores.database import Connection, Database
from stores.predictions import Prediction, Predictions
from stores.settings import DatabaseSettings

T = TypeVar("T")
NOW = datetime.now(UTC)


def prediction(days: float, *, score: float = 0.5) -> Prediction:
    """One of some days ago."""
    return Prediction(
        made_at=NOW - timedelta(days=days), service="visual_analysis", endpoint="analyze", release="7",
        versions={"detection": "2"}, seconds=0.25, figures={"score": [score], "category": ["tops", "shoes"]},
    )  # fmt: skip


def run(url: str, *works: Callable[[Connection], Awaitable[T]]) -> list[T]:
    async def all_of_them() -> list[T]:
        database = Database(url, DatabaseSettings())
        await database.open()
        try:
            return [await database.run(work) for work in works]
        finally:
            await database.close()

    return asyncio.run(all_of_them())


def test_predictions_of_a_time_are_read_back_newest_first(database_url: str) -> None:
    made = [prediction(days) for days in (3, 2, 1)]
    [_] = run(database_url, lambda connection: Predictions(connection).add(made))
    since, until = NOW - timedelta(days=2.5), NOW
    [found] = run(database_url, lambda connection: Predictions(connection).between(since, until, 10))
    assert [*found] == [made[2], made[1]]
    [newest] = run(database_url, lambda connection: Predictions(connection).between(since, until, 1))
    assert [*newest] == [made[2]]


def test_what_is_old_is_removed_and_nothing_else(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stores.predictions._REMOVED_AT_ONCE", 2)
    made = [prediction(days) for days in (40, 39, 38, 2, 1)]
    removed = run(
        database_url,
        lambda connection: Predictions(connection).add(made),
        *[lambda connection: Predictions(connection).remove_some(timedelta(days=30))] * 3,
    )
    assert removed[1:] == [2, 1, 0]
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM predictions").fetchone() == (2,)


def test_old_rows_are_found_by_the_index(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "INSERT INTO predictions SELECT now() - interval '1 minute' * number, 's', 'e', '1', '{}', 0.1, '{}' "
            "FROM generate_series(1, 50000) AS number"
        )
        connection.execute("ANALYZE predictions")
        plan = connection.execute(
            "EXPLAIN SELECT ctid FROM predictions WHERE made_at < now() - interval '30 days' ORDER BY made_at LIMIT 100"
        ).fetchall()
    text = "\n".join(row[0] for row in plan)
    assert "predictions_by_time" in text
    assert "Seq Scan" not in text


def test_an_older_schema_is_told_in_words(empty_database: str) -> None:
    with pytest.raises(DatabaseError, match="older than this code"):
        run(empty_database, lambda connection: Predictions(connection).add([]))
