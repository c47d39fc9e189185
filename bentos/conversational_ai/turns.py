"""Who gets an answer: the API part admits a few callers and refuses the rest, the model part takes them one by one.

The turn is taken in the model part, where it ends with the generation: in the API part a WebSocket client that reads slowly
would keep everybody waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from aura.errors import BusyError


class Admission:
    """Counts what is going on at once, and refuses more than `most`; `what` says of how many of what in the refusal."""

    def __init__(self, most: int, what: str) -> None:
        self._most, self._what = most, what
        self._admitted = 0

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place among them.

        Raises:
            BusyError: all places are taken.
        """
        if self._admitted >= self._most:
            raise BusyError(f"{self._admitted} {self._what} already", hint="try again in a moment")
        self._admitted += 1
        try:
            yield
        finally:
            self._admitted -= 1


class Turn:
    """The right to generate; one answer has it at a time, so that each is as quick as the machine allows."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def taken(self, patience_seconds: float) -> AsyncIterator[None]:
        """The turn, in the order of asking.

        Raises:
            BusyError: it did not come within `patience_seconds`.
        """
        try:
            async with asyncio.timeout(patience_seconds):
                await self._lock.acquire()
        except TimeoutError:
            raise BusyError(f"no turn came within {patience_seconds:.0f} seconds", hint="try again later") from None
        try:
            yield
        finally:
            self._lock.release()
