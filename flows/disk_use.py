"""What the folders of the home take of the disk, and how much a night adds to them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median

from flows.report import RESULT

_BLOCK_BYTES = 512
"""Unit of `st_blocks`."""


def folder_bytes(home: Path) -> dict[str, int]:
    """Bytes on the disk of each folder of the home folder; a file with several names counts once, where it is met first."""
    seen: set[tuple[int, int]] = set()
    sizes: dict[str, int] = {}
    for folder in sorted(path for path in home.iterdir() if path.is_dir() and not path.is_symlink()):
        taken = 0
        for root, _, names in os.walk(folder):
            for name in names:
                try:
                    found = os.lstat(os.path.join(root, name))
                except FileNotFoundError:  # services write and remove files meanwhile
                    continue
                if (found.st_dev, found.st_ino) not in seen:
                    seen.add((found.st_dev, found.st_ino))
                    taken += found.st_blocks * _BLOCK_BYTES
        sizes[folder.name] = taken
    return sizes


@dataclass(frozen=True, kw_only=True)
class NightUse:
    """What the home took when a night had ended.

    Attributes:
        disk: folder of the home to bytes.
    """

    started: datetime
    disk: Mapping[str, int]


def recorded_nights(home: Path) -> list[NightUse]:
    """Nights of all profiles whose reports are kept and say what the home took, oldest first."""
    found = []
    for file in home.glob(f"reports/*/night-*/{RESULT}"):
        with suppress(OSError, ValueError, KeyError, TypeError):  # a night that could not write its report
            values = json.loads(file.read_text(encoding="utf-8"))
            if values["disk"]:
                found.append(NightUse(started=datetime.fromisoformat(values["started"]), disk=values["disk"]))
    return sorted(found, key=lambda night: night.started)


def growth_per_night(nights: Sequence[NightUse], now: datetime, days: int = 7) -> dict[str, int]:
    """Folder to the median of the bytes that a night of the last days added to it, less what it removed.

    Args:
        nights: oldest first; the last one before those days is what the first of them is compared with.

    Returns:
        Nothing where there are no two nights to compare.
    """
    since = now - timedelta(days=days)
    pairs = [(before, after) for before, after in pairwise(nights) if after.started >= since]
    folders = {folder for pair in pairs for night in pair for folder in night.disk}
    return {
        folder: round(median(after.disk.get(folder, 0) - before.disk.get(folder, 0) for before, after in pairs))
        for folder in sorted(folders)
    }
