"""The prediction log: a sample of what the models have answered, in figures, without pictures, texts or names of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from psycopg.errors import UndefinedTable
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from aura.errors import DatabaseError
from stores.database import Connection

Figures = Mapping[str, Sequence[float] | Sequence[str]]
"""Name to the values that one prediction has of it, numbers or names of a small set: a photo has a score per garment."""
_COLUMNS = "made_at, service, endpoint, release, versions, seconds, figures"
_REMOVED_AT_ONCE = 10_000
"""Rows per statement, which has seconds only."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One answer of a model.

    Attributes:
        made_at: with a time zone.
        endpoint: last part of its path, for example `analyze`.
        release: number of the release that it was made from; empty: none.
        versions: version of each model, and of the index, that made it.
        seconds: from the moment that its work began to its end.
    """

    made_at: datetime
    service: str
    endpoint: str
    release: str
    versions: Mapping[str, str]
    seconds: float
    figures: Figures


class Predictions:
    """The log, as a transaction sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, predictions: Sequence[Prediction]) -> None:
        """Keep predictions; with none of them, find out whether any could be kept.

        Raises:
            DatabaseError: the schema is older than the log.
        """
        try:
            await self._connection.execute("SELECT 1 FROM predictions LIMIT 1")
        except UndefinedTable as error:
            raise DatabaseError(
                "the schema of the database is older than this code",
                hint="aura db upgrade, or start the accounts service, which does so",
            ) from error
        async with self._connection.cursor() as cursor:
            await cursor.executemany(
                f"INSERT INTO predictions ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s)",
                [
                    (made.made_at, made.service, made.endpoint, made.release, Jsonb(dict(made.versions)), made.seconds,
                     Jsonb({name: [*values] for name, values in made.figures.items()}))
                    for made in predictions
                ],
            )  # fmt: skip

    async def between(self, since: datetime, until: datetime, at_most: int) -> Sequence[Prediction]:
        """Predictions from `since` until before `until`; of more than `at_most`, the newest."""
        async with self._connection.cursor(row_factory=class_row(Prediction)) as cursor:
            await cursor.execute(
                f"SELECT {_COLUMNS} FROM predictions WHERE made_at >= %s AND made_at < %s ORDER BY made_at DESC LIMIT %s",
                (since, until, at_most),
            )
            return await cursor.fetchall()

    async def remove_some(self, older_than: timedelta) -> int:
        """Remove old predictions, oldest first, as many as a statement can; returns how many, 0 when all are gone."""
        cursor = await self._connection.execute(
            "DELETE FROM predictions WHERE ctid = ANY (ARRAY("
            "SELECT ctid FROM predictions WHERE made_at < now() - %s ORDER BY made_at LIMIT %s FOR UPDATE SKIP LOCKED))",
            (older_than, _REMOVED_AT_ONCE),
        )
        return cursor.rowcount
