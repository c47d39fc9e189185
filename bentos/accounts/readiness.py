"""Is the database there, with the schema of this code: the health of the accounts service, and its start."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from aura.errors import AuraError, DatabaseUnavailableError
from bentos.serving.errors import NotReadyError
from bentos.serving.health import HEALTH_SECONDS
from bentos.serving.request_log import logger
from stores import schema
from stores.database import Database

_AGAIN_SECONDS = 2.0


@dataclass(frozen=True, kw_only=True)
class DatabaseStatus:
    """The database can be used; `revision` is that of its schema."""

    revision: str


class DatabaseReadiness:
    """Brings the schema up to date as soon as the server is there, and then asks whether it still is.

    Args:
        url: address of the database.
        migrate: whether the schema is brought up to date; otherwise it is waited for.
        then: called once, when the database can be used.
    """

    def __init__(self, database: Database, url: str, *, migrate: bool, then: Callable[[], Awaitable[None]]) -> None:
        self._database, self._url, self._migrate, self._then = database, url, migrate, then
        self._revision: str | None = None
        self._problem = "the database is being looked for"
        self._preparing: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Open the pool, and prepare the schema in the background: the service is live meanwhile, and says why not ready."""
        await self._database.open()
        self._preparing = asyncio.create_task(self._prepare())

    async def end(self) -> None:
        if self._preparing:
            self._preparing.cancel()
        await self._database.close()

    async def status(self) -> DatabaseStatus:
        """Ask the database.

        Raises:
            NotReadyError: it does not answer within the limit, or its schema is not that of this code.
        """
        if self._revision is None:
            raise NotReadyError(self._problem)
        try:
            async with asyncio.timeout(HEALTH_SECONDS * 0.8):
                await self._database.ping()
        except (DatabaseUnavailableError, TimeoutError):
            raise NotReadyError("the database does not answer") from None
        return DatabaseStatus(revision=self._revision)

    async def _prepare(self) -> None:
        while self._revision is None:
            try:
                status = await asyncio.to_thread(schema.upgrade if self._migrate else schema.status, self._url)
            except AuraError as error:
                away = isinstance(error, DatabaseUnavailableError)
                self._problem = f"the database {'does not answer' if away else 'cannot be used; the log says why'}"
                logger.warning("not ready: %s", error)
            else:
                if self._migrate or status.is_current:
                    self._revision = status.newest
                    logger.info("the schema of the database is at %s", status.newest)
                    with suppress(DatabaseUnavailableError):  # what it would have done is done at the next start
                        await self._then()
                    return
                self._problem = "the schema of the database is older than this code"
                logger.warning("not ready: %s; run `aura db upgrade`", self._problem)
            await asyncio.sleep(_AGAIN_SECONDS)
