"""Folders that a process reads, and that no other process may remove meanwhile.

A shared lock on the folder itself: the system drops it when the process ends, however it ends, so nothing is left over.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def holding(folder: Path) -> Iterator[bool]:
    """Keep a folder from `remove_unless_in_use` inside; yields False when there is no such folder (any more)."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        yield _is(folder, handle)  # it may have been removed while this process waited for the lock
    finally:
        os.close(handle)


def _is(folder: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), folder.stat())
    except FileNotFoundError:
        return False


def remove_unless_in_use(folder: Path) -> bool:
    """Remove a folder with everything in it, or return False and leave it as it is when a process holds it.

    It is renamed first, so that nobody takes a part of it for the whole; `finish_removal` ends a removal that was killed.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        finish_removal(folder)
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finish_removal(folder)
        folder.rename(_removing(folder))
    except BlockingIOError:
        return False
    finally:
        os.close(handle)
    finish_removal(folder)
    return True


def finish_removal(folder: Path) -> None:
    """Remove what a removal of `folder` left when it was killed."""
    if _removing(folder).exists():
        shutil.rmtree(_removing(folder))


def _removing(folder: Path) -> Path:
    return folder.with_name(f".removing-{folder.name}")
