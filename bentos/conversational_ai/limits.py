"""Limits on concurrent conversations and answers: the service refuses what exceeds them, the runner generates one answer at a
time.

The lock is in the runner, where it is released when the generation ends. In the service, a WebSocket client that reads slowly
would hold it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aura.errors import BusyError


class ConcurrencyLimit:
    """Refuses more than `limit` at once.

    Args:
        what: subject and verb of the refusal, for example "conversations are open".
    """

    def __init__(self, limit: int, what: str) -> None:
        self._limit, self._what = limit, what
        self._admitted = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """One of the `limit` slots.

        Raises:
            BusyError: all slots are taken.
        """
        if self._admitted >= self._limit:
            raise BusyError(f"{self._admitted} {self._what} already", hint="try again in a moment")
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1


class GenerationLock:
    """Held by one answer at a time, so that each is generated as fast as the machine allows."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def held(self, timeout_seconds: float) -> AsyncIterator[None]:
        """Hold the lock; waiters get it in the order in which they came.

        Raises:
            BusyError: it was not free within `timeout_seconds`.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._lock.acquire()
        except TimeoutError:
            raise BusyError(f"no turn came within {timeout_seconds:.0f} seconds", hint="try again later") from None
        try:
            yield
        finally:
            self._lock.release()
