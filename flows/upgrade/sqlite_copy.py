"""A SQLite database is migrated as a copy, which takes its place in one step.

Alembic has no transaction around the steps of SQLite: a process killed among them would leave tables that no later step
expects. A killed one leaves a copy here, which the next removes.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil

from aura.artifact import sync
from aura.errors import BusyError
from aura.scratch import scratch_folder
from flows.backup.contents import copy_sqlite, file_hash, sqlite_state

SCRATCH = ".upgrading-"
_WAIT_SECONDS = 1.0


def replace_migrated(database: Path, migrate: Callable[[Path], None]) -> None:
    """Let `migrate` change a copy of a database that nobody else has open, and put the copy in its place.

    Raises:
        BusyError: somebody has it open, or wrote to it while the copy was migrated.
    """
    with scratch_folder(database.parent, SCRATCH) as folder:
        copy = folder / database.name
        copy_sqlite(database, copy)
        before = file_hash(copy)
        migrate(copy)
        _write_back(copy)
        _write_back(database)  # else SQLite would read the log of the old file into the new one
        if (users := processes_with(database)) or sqlite_state(database) != before:
            raise BusyError(
                f"{database} is in use{' by ' if users else ''}{', '.join(users)}, and stays as it is",
                hint="stop what uses it: `aura down`",
            )
        shutil.copymode(database, copy)
        sync(copy)
        os.replace(copy, database)
    sync(database.parent)


def _write_back(database: Path) -> None:
    """Bring what SQLite has beside a database into it.

    Raises:
        BusyError: somebody has it open.
    """
    with closing(sqlite3.connect(database, timeout=_WAIT_SECONDS)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if left := [path.name for kind in ("wal", "journal") if (path := _beside(database, kind)).exists()]:
        raise BusyError(
            f"{database} is in use: {', '.join(left)} lies beside it", hint="stop what uses it: `aura down`"
        )


def _beside(database: Path, kind: str) -> Path:
    return database.with_name(f"{database.name}-{kind}")


def processes_with(database: Path) -> list[str]:
    """Other processes that have a file open, as far as this account may see them."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and any(opened.path == str(database) for opened in process.open_files()):
                found.append(f"process {process.pid} ({process.name()})")
        except psutil.Error:  # another account's, or it has ended
            continue
    return found
