"""A private folder of secret keys, one file each, oldest first by name; processes that use it see a new key at once."""

from __future__ import annotations

import stat
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from aura.errors import SettingsError
from aura.secret_files import write_secret


class KeyFolder:
    """The keys of a folder; an empty folder gets its first one.

    Args:
        suffix: of the files, for example `.pem`.
        make: text of a new key.
    """

    def __init__(self, folder: Path, suffix: str, make: Callable[[], str]) -> None:
        self.folder, self._suffix, self._make = folder, suffix, make
        if not self.files():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._lock():
                if not self.files():
                    self._add()

    def files(self) -> Sequence[Path]:
        """Files of the keys, oldest first."""
        return sorted(self.folder.glob(f"*{self._suffix}"))

    def add(self) -> None:
        """Make a new key."""
        with self._lock():
            self._add()

    def keep(self, newest: int) -> None:
        """Remove all keys but the newest."""
        with self._lock():
            for old in self.files()[:-newest]:
                old.unlink()

    def _add(self) -> None:
        write_secret(self.folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S.%f}{self._suffix}", self._make())

    def _lock(self) -> FileLock:
        return FileLock(self.folder / ".lock", mode=0o600, timeout=30)


def read_key(file: Path) -> bytes:
    """Content of a key's file.

    Raises:
        SettingsError: every account of the machine may read it.
    """
    if file.stat().st_mode & stat.S_IRWXO:
        raise SettingsError(
            f"{file} is a secret, and everybody may read it", hint=f"chmod 600 {file}, and rotate the keys"
        )
    return file.read_bytes()
