"""Folders for unfinished work. One that a killed process left behind is removed by the next process that works there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

_ALIVE = ".alive"
"""Lock file in such a folder. The system frees the lock when the process dies."""


@contextmanager
def scratch_folder(parent: Path, prefix: str, *, marked_only: bool = False) -> Iterator[Path]:
    """A new folder in `parent`, on the disk of what will be made of it; removed at the end, whatever happened.

    Args:
        prefix: beginning of its name. Folders of this prefix whose process has died are removed first.
        marked_only: leave those alone that do not hold our lock file: outside the home a folder may be somebody else's.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{prefix}*"):
        if not marked_only or (left / _ALIVE).is_file():
            _remove_if_abandoned(left)
    folder, alive = _locked(parent, prefix)
    try:
        (folder / "work").mkdir()
        yield folder / "work"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        alive.release()


def _locked(parent: Path, prefix: str) -> tuple[Path, FileLock]:
    while True:
        folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
        alive = FileLock(folder / _ALIVE)
        with suppress(FileNotFoundError):
            alive.acquire()
            if (folder / _ALIVE).exists():
                return folder, alive
            alive.release()
        # Another process took it for abandoned before the lock was held.


def _remove_if_abandoned(folder: Path) -> None:
    lock = FileLock(folder / _ALIVE)
    with suppress(Timeout, OSError):  # alive; or removed by another process at the same time
        lock.acquire(timeout=0)
        shutil.rmtree(folder, ignore_errors=True)
        lock.release()
