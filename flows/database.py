"""The database of a command: the one that `AURA_DATABASE_URL` names, or a server of this home for as long as it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from aura.paths import home
from flows.logs import rotate
from stores import schema
from stores.address import given_url
from stores.database import Database
from stores.local_server import LocalServer
from stores.ready import wait_until_ready
from stores.settings import DatabaseSettings

T = TypeVar("T")
_STATEMENT_SECONDS = 60.0
_WORK_SECONDS = 300.0
"""Limits of a command, for which nobody waits; those of the settings are a service's."""


@contextmanager
def database(seconds: float) -> Iterator[str]:
    """Hold while a database is used that accepts connections; gives its address.

    Raises:
        DatabaseUnavailableError: it does not accept any within `seconds`.
        SettingsError: the address in the environment cannot be used.
        StartError: none is named, and none can be started here.
    """
    if url := given_url():
        wait_until_ready(url, seconds)
        yield url
        return
    log = home() / "logs" / "postgres.log"
    rotate(log)
    with LocalServer(home() / "postgres").running(seconds, log) as url:
        yield url


def in_database(settings: DatabaseSettings, work: Callable[[Database], Awaitable[T]]) -> T | None:
    """What `work` returns; None where the environment names no database and this home has none yet.

    Raises:
        DatabaseError: the database is away, or its schema is not that of this code.
    """
    local = home() / "postgres"
    if not given_url() and not (local / "data").is_dir():
        return None
    patient = settings.model_copy(
        update={"connections": 1, "statement_seconds": _STATEMENT_SECONDS, "work_seconds": _WORK_SECONDS}
    )

    async def opened(url: str) -> T:
        pool = Database(url, patient)
        await pool.open()
        try:
            return await work(pool)
        finally:
            await pool.close()

    with database(settings.start_seconds) as url:
        if settings.migrate_at_start:
            schema.upgrade(url)
        return asyncio.run(opened(url))
