"""The database as a service uses it: a pool of connections, and units of work in transactions.

A unit of work is a function of a connection. It is called again when others have crossed it, so it does nothing but talk to the
database; it is never called again after its end may have been reached, so nothing is done twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.errors import DeadlockDetected, ForeignKeyViolation, IdleInTransactionSessionTimeout, SerializationFailure
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from aura.errors import DatabaseUnavailableError, NotFoundError
from stores.settings import DatabaseSettings

Connection = AsyncConnection[tuple[Any, ...]]
T = TypeVar("T")

_CROSSED = (SerializationFailure, DeadlockDetected)
_AWAY = (
    PoolTimeout, PoolClosed, OperationalError, InterfaceError, IdleInTransactionSessionTimeout, TimeoutError,
)  # fmt: skip
_RECONNECT_SECONDS = 5.0
"""Seconds of tries to connect in the background. The pool waits twice as long before each; a request begins them anew."""


class Database:
    """A pool that is opened in the event loop that uses it.

    Args:
        url: address as libpq takes it.
        settings: sizes and limits.
    """

    def __init__(self, url: str, settings: DatabaseSettings) -> None:
        self._settings = settings
        limits = {
            "statement_timeout": settings.statement_seconds,
            "lock_timeout": settings.statement_seconds,
            "idle_in_transaction_session_timeout": settings.idle_transaction_seconds,
        }
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url, min_size=1, max_size=settings.connections, open=False, timeout=settings.wait_seconds,
            reconnect_timeout=_RECONNECT_SECONDS, name="aura",
            # A round trip on a connection that has been idle: one that a restart of the server has cut is replaced.
            check=AsyncConnectionPool.check_connection,
            kwargs={
                "options": " ".join(f"-c {name}={round(1000 * seconds)}" for name, seconds in limits.items()),
                "application_name": "aura", "connect_timeout": max(2, round(settings.wait_seconds)),
            },
        )  # fmt: skip

    async def open(self) -> None:
        """Begin to connect; a server that is away is looked for until it is there."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        await self._pool.close()

    async def run(self, work: Callable[[Connection], Awaitable[T]], *, serializable: bool = False) -> T:
        """What a unit of work returns, when its transaction is committed; an exception of it rolls back.

        Args:
            serializable: as if no other work were done at the same time; otherwise each statement sees what is committed.

        Raises:
            NotFoundError: what the work belongs to has been removed meanwhile.
            DatabaseUnavailableError: the server is away or too slow. Whether the work is done is unknown only when the
                server went away during its commit.
        """

        async def tried() -> T:
            async with self._pool.connection() as connection:
                if serializable:
                    await connection.execute("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
                return await work(connection)

        tries = AsyncRetrying(
            retry=retry_if_exception_type(_CROSSED), stop=stop_after_attempt(self._settings.tries),
            wait=wait_random_exponential(multiplier=0.005, max=0.2), reraise=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(self._settings.work_seconds):
                return await tries(tried)
        except ForeignKeyViolation as error:
            raise NotFoundError("what this belongs to is gone", hint="sign in again") from error
        except _AWAY as error:
            raise DatabaseUnavailableError(
                f"the database did not do its work: {type(error).__name__}", hint="try again in a moment"
            ) from error

    async def ping(self) -> None:
        """Ask the server for anything.

        Raises:
            DatabaseUnavailableError: it does not answer.
        """
        await self.run(_nothing)


async def _nothing(connection: Connection) -> None:
    await connection.execute("SELECT 1")
