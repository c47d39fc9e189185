"""A database that a service has or has not, and that no answer waits for: it may be away, or frozen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from aura.errors import DatabaseUnavailableError
from bentos.serving.errors import NoDatabaseError
from bentos.serving.health import HEALTH_SECONDS
from stores.database import Connection, Database

T = TypeVar("T")
AWAY = "the database does not answer"
_SECONDS = 3.0
"""Time limit per unit of work: nobody waits longer for what an answer can do without."""


class OptionalDatabase:
    """Runs units of work within a time limit.

    Args:
        database: None: the service runs without one.
        lacks: what the service cannot do then, after the words "this service", and what its caller can do.
    """

    def __init__(
        self, database: Database | None, lacks: str, hint: str = "its operator sets AURA_DATABASE_URL"
    ) -> None:
        self._database, self._lacks, self._hint = database, lacks, hint
        self._working: set[asyncio.Future[Any]] = set()

    @property
    def is_there(self) -> bool:
        """Whether the service has one, be it away or not."""
        return self._database is not None

    async def run(self, work: Callable[[Connection], Awaitable[T]], seconds: float = _SECONDS) -> T:
        """What the work returns, as `Database.run`; after `seconds` it is given up, before a frozen server lets go of it.

        Raises:
            NoDatabaseError: the service has no database.
            DatabaseUnavailableError: the database is away or too slow.
        """
        if self._database is None:
            raise NoDatabaseError(f"this service {self._lacks}: it has no database", hint=self._hint)
        await self._database.open()  # does nothing when it is open
        working = asyncio.ensure_future(self._database.run(work))
        self._working.add(working)
        working.add_done_callback(self._ended)
        try:
            await asyncio.wait({working}, timeout=seconds)
            if not working.done():
                raise DatabaseUnavailableError(AWAY)
            return working.result()
        finally:
            working.cancel()

    async def problems(self, lost: str) -> list[str]:
        """That `lost`, in words for callers, where the database does not answer; nothing where there is none to ask."""
        if self._database is None:
            return []
        try:
            await self.run(_nothing, HEALTH_SECONDS * 0.4)
        except DatabaseUnavailableError:
            return [f"{lost}: {AWAY}"]
        return []

    async def close(self) -> None:
        if self._database is not None:
            await self._database.close()

    def _ended(self, working: asyncio.Future[Any]) -> None:
        self._working.discard(working)
        if not working.cancelled():
            working.exception()  # of work that was given up nobody reads it


async def _nothing(connection: Connection) -> None:
    await connection.execute("SELECT 1")
