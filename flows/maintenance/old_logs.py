"""Logs that nobody writes to any more."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from flows.logs import rotate

_DAY_SECONDS = 24 * 3600.0
_MOVED_ASIDE = re.compile(r".*\.log\.\d+")


def tidy_logs(folder: Path, keep_days: float) -> list[str]:
    """Move long logs aside, and remove those without a new line for `keep_days`; returns the names of what went.

    A log itself is emptied in place, because a server that has nothing to say may hold it open.
    """
    oldest = time.time() - keep_days * _DAY_SECONDS
    gone = []
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        moved_aside = _MOVED_ASIDE.fullmatch(file.name) is not None
        if not moved_aside and file.suffix != ".log":
            continue
        if file.stat().st_mtime >= oldest:
            if not moved_aside:
                rotate(file)
            continue
        if moved_aside:
            file.unlink()
        elif file.stat().st_size:
            os.truncate(file, 0)
        else:
            continue
        gone.append(file.relative_to(folder).as_posix())
    return gone
