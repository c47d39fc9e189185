"""The first opening of a store that its library creates: one process at a time, and again from nothing when it was cut off.

MLflow and Prefect make their SQLite tables in dozens of migrations. Two processes that do so at once fail each other, and a
killed one leaves tables that no later migration expects.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from aura.errors import BusyError

_LONGEST_CREATION_SECONDS = 600.0


@contextmanager
def creating(database: Path, wait_seconds: float) -> Iterator[None]:
    """Hold while a library opens the SQLite file `database`, which it makes if it is missing.

    A block that ends without an error has made it whole. Holding it for a file that exists is right as well: migrations of a
    new version of the library are no more parallel than the first ones.

    Args:
        wait_seconds: seconds to wait for another process.

    Raises:
        BusyError: another process has held it for that long.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(database.with_name(f".{database.name}.lock"), timeout=wait_seconds):
            mark = unfinished(database)
            if mark.exists() and not _used_since(mark, database):
                for file in _files(database):
                    file.unlink(missing_ok=True)
            if not database.exists():
                mark.touch()
            yield
            mark.unlink(missing_ok=True)
    except Timeout as error:
        raise BusyError(
            f"another process has been opening {database} for {wait_seconds:.0f} s", hint="wait for it, or end it"
        ) from error


def _used_since(mark: Path, database: Path) -> bool:
    """Whether the store was written long after a creation was cut off: a server that knows nothing of marks has made it whole."""
    written = max((file.stat().st_mtime for file in _files(database) if file.exists()), default=0.0)
    return written > mark.stat().st_mtime + _LONGEST_CREATION_SECONDS


def _files(database: Path) -> list[Path]:
    return [database, *(database.with_name(f"{database.name}-{kind}") for kind in ("wal", "shm", "journal"))]


def unfinished(database: Path) -> Path:
    """File that exists as long as the creation of `database` has not ended: nobody has used it, and it may be half made."""
    return database.with_name(f".{database.name}.creating")
