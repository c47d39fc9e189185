"""How many conversations and answers there are at once: the service admits a few and refuses the rest, the runner generates
them one by one.

The runner holds the lock because it ends with the generation there: in the service a WebSocket client that reads slowly would
keep everybody waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aura.errors import BusyError


class ConcurrencyLimit:
    """Refuses more than `limit` at once.

    Args:
        what: what they are and do, for the refusal: "conversations are open".
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
    """Held by one answer at a time, so that each is generated as quickly as the machine allows."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def held(self, timeout_seconds: float) -> AsyncIterator[None]:
        """The lock, in the order of asking.

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
