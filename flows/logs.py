"""Logs of servers: appended to, and moved aside when they are long.

The server itself holds the file open, so a long log is copied and emptied in place, as logrotate's `copytruncate` does: the
server writes in append mode and goes on at the new end, whatever becomes of the process that started it.
"""

from __future__ import annotations

import shutil
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import BinaryIO

LOG_BYTES = 5_000_000
"""Size above which a log is moved aside."""
KEPT = 3
"""Older logs that are kept, as `.log.1` (the newest) to `.log.3`."""


def open_log(log: Path) -> BinaryIO:
    """The log of a server that starts, for its output; what earlier ones wrote stays in it.

    Raises:
        OSError: it cannot be written.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    rotate(log)
    return log.open("ab")


def rotate(log: Path, limit_bytes: int = LOG_BYTES) -> None:
    """Move the content of a log that is longer than the limit aside; its writer may go on meanwhile."""
    if not log.is_file() or log.stat().st_size <= limit_bytes:
        return
    files = RotatingFileHandler(log, backupCount=KEPT, delay=True)
    files.rotator = _copy_and_empty
    files.doRollover()
    files.close()


def last_lines(log: Path, lines: int = 15) -> str:
    """The end of a log; empty when there is none, or it cannot be read."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:  # what is told with it matters more
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _copy_and_empty(log: str, aside: str) -> None:
    shutil.copyfile(log, aside)
    with open(log, "r+b") as stream:
        stream.truncate()
