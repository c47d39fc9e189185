"""A collector of everything that is wrong with some data, so that a user sees all of it in one message."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager

from aura.errors import DataError

_SHOWN = 20


class Problems:
    """Problems in the order in which they were found."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, what: str) -> None:
        self.found.append(f"{where}: {what}")

    def unique(self, keys: Iterable[Hashable], where: str) -> None:
        """Add a problem per key that was there before."""
        seen: set[Hashable] = set()
        for key in keys:
            if key in seen:
                self.add(where, f"{key!r} appears twice")
            seen.add(key)

    @contextmanager
    def collect(self, where: str) -> Iterator[None]:
        """Take a DataError that ends the block as a problem, so that what comes after the block is checked too."""
        try:
            yield
        except DataError as error:
            self.add(where, f"{error.message} ({error.hint})" if error.hint else error.message)

    def raise_if_any(self, what: str, hint: str) -> None:
        """Raise when something was found.

        Raises:
            DataError: the first twenty problems, and how many there are.
        """
        if self.found:
            shown = "\n".join(f"  - {problem}" for problem in self.found[:_SHOWN])
            more = f"\n  ... and {len(self.found) - _SHOWN} more" if len(self.found) > _SHOWN else ""
            raise DataError(f"{len(self.found)} problem(s) in {what}:\n{shown}{more}", hint=hint)
