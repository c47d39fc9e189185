"""The installed packages beside the lock files: a store is migrated by its library, which must be the one that was tested.

`make setup` installs what a lock file says; a program does not replace the packages that it runs on.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from aura.paths import repo_root
from flows.upgrade.store import Standing, Store

_PATTERN = "requirements-*.lock"
_SHOWN = 4


class Packages(Store):
    """What is installed.

    Args:
        folder: holds the lock files.
        installed: canonical name to version; None: of this interpreter.
    """

    name = "packages"

    def __init__(self, folder: Path | None = None, installed: Mapping[str, str] | None = None) -> None:
        self._folder = folder or repo_root()
        self._installed = installed

    def look(self) -> Standing:
        locks = sorted(self._folder.glob(_PATTERN))
        if not locks:
            return Standing(stands="no lock file here", wanted="")
        installed = _installed() if self._installed is None else self._installed
        others = {lock.name: _others(lock, installed) for lock in locks}
        nearest = min(others, key=lambda name: len(others[name]))
        wrong = others[nearest]
        if not wrong:
            return Standing(stands="as locked", wanted="as locked")
        more = f", and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
        return Standing(
            stands=f"{len(wrong)} other",
            wanted=nearest,
            refusal=f"packages are not those of {nearest} ({', '.join(wrong[:_SHOWN])}{more}): run `make setup` first",
        )


def _installed() -> dict[str, str]:
    return {canonicalize_name(each.metadata["Name"]): each.version for each in distributions()}


def _others(lock: Path, installed: Mapping[str, str]) -> list[str]:
    """Packages that the lock file wants on this system and that are missing, or there in another version."""
    found = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if not line.startswith(("#", " ")) and "==" in line:
            wanted = Requirement(line.rstrip("\\ "))
            if wanted.marker is not None and not wanted.marker.evaluate():
                continue
            there = installed.get(canonicalize_name(wanted.name))
            # 2.14.1+cpu is 2.14.1, from another index
            if there is None or not wanted.specifier.contains(Version(there).public, prereleases=True):
                found.append(f"{wanted.name} {there or 'missing'}")
    return found
