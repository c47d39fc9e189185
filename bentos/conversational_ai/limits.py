"""A limit on what a process works on at once; what exceeds it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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
