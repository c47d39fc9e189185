"""Where backups are kept: in restic's repository, or in a plain folder where restic is not installed.

restic (Debian's package) rather than Borg: it writes to S3, SFTP and REST servers itself, where Borg needs itself on the other
side. It encrypts, deduplicates, verifies and forgets by policy; none of that is done here.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from aura.errors import BackupError, NotFoundError, SettingsError
from aura.scratch import scratch_folder
from flows.backup.contents import MANIFEST, Manifest
from flows.backup.settings import BackupSettings, is_address

_TAG = "aura"
_SUMS = "SHA256SUMS"
_PASSWORDS = ("RESTIC_PASSWORD", "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND")


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A whole backup, as a repository lists it."""

    id: str
    created: datetime


class Repository(Protocol):
    """Keeps folders under ids."""

    def create(self, folder: Path) -> str:
        """Keep a folder; returns its id. A kill in the middle leaves nothing that `list` shows."""

    def list(self) -> list[Backup]:
        """Whole backups, newest first."""

    def verify(self) -> None:
        """Read everything and compare it with its hashes.

        Raises:
            BackupError: something is not what was written.
        """

    def manifest(self, backup: Backup) -> Manifest:
        """What a backup says of itself."""

    def fetch(self, backup: Backup, folder: Path) -> None:
        """Write a backup to an empty folder, and compare it with its hashes.

        Raises:
            BackupError: it cannot be read, or is not what was written.
        """


def open_repository(settings: BackupSettings, home: Path) -> Repository:
    """The repository of the settings.

    Raises:
        SettingsError: restic has no password.
    """
    if settings.plain or shutil.which("restic") is None:
        if is_address(settings.repository):
            raise SettingsError(
                f"backup.repository is an address, {settings.repository!r}, which needs restic",
                hint="sudo apt-get install restic, or name a folder",
            )
        return PlainFolder(Path(settings.repository or home / "backups" / "plain"))
    if not any(os.environ.get(name) for name in _PASSWORDS):
        raise SettingsError(
            "restic encrypts, and has no password",
            hint="write one to a file that is kept on another machine too, for without it no backup can be read: "
            "export RESTIC_PASSWORD_FILE=FILE; or, for plain folders: --set backup.plain=true",
        )
    return Restic(settings.repository or str(home / "backups" / "restic"), home / "cache" / "restic", settings)


def find(repository: Repository, wanted: str) -> Backup:
    """A backup by its id, or the newest one by `latest`.

    Raises:
        NotFoundError: there is none; names those that exist.
    """
    known = repository.list()
    for backup in known:
        if wanted in ("latest", backup.id):
            return backup
    raise NotFoundError(
        f"there is no backup {wanted!r}; there are: {', '.join(backup.id for backup in known) or 'none'}",
        hint="`aura backup list` shows them; `--set backup.repository=PLACE` looks somewhere else",
    )


class Restic:
    """restic's repository.

    Args:
        address: as restic takes it.
        cache: folder of its cache.
    """

    def __init__(self, address: str, cache: Path, settings: BackupSettings) -> None:
        self._address, self._cache, self._settings = address, cache, settings

    def create(self, folder: Path) -> str:
        if not self._exists():
            self._run("init")
        known = self.list()
        # So that unchanged files are not read again: the folder has another name each time, and a second name changes a ctime.
        parent = ("--parent", known[0].id) if known else ()
        said = self._run("backup", "--json", "--tag", _TAG, "--ignore-ctime", *parent, ".", folder=folder)
        made = str(json.loads(said.splitlines()[-1])["snapshot_id"])[:8]
        kept = self._settings
        self._run(
            "forget", "--prune", "--tag", _TAG, "--group-by", "tags", "--keep-last", str(kept.keep_last),
            "--keep-daily", str(kept.keep_daily), "--keep-weekly", str(kept.keep_weekly),
            "--keep-monthly", str(kept.keep_monthly),
        )  # fmt: skip
        return made

    def list(self) -> list[Backup]:
        if not self._exists():
            return []
        found: list[dict[str, Any]] = json.loads(self._run("snapshots", "--tag", _TAG, "--json")) or []
        made = [Backup(id=each["short_id"], created=datetime.fromisoformat(_seconds(each["time"]))) for each in found]
        return sorted(made, key=lambda backup: backup.created, reverse=True)

    def verify(self) -> None:
        if self._exists():
            self._run("check", "--read-data")

    def manifest(self, backup: Backup) -> Manifest:
        return Manifest.model_validate_json(self._run("dump", backup.id, f"/{MANIFEST}"))

    def fetch(self, backup: Backup, folder: Path) -> None:
        self._run("restore", backup.id, "--target", str(folder), "--verify")

    def _exists(self) -> bool:
        """Whether there is a repository; the locks of killed runs are taken off it, not those of runs that go on."""
        done = self._call("cat", "config", "--no-lock")
        if done.returncode == 0:
            self._run("unlock")
        elif "Is there a repository at the following location?" not in done.stderr:
            raise self._failed("cat", done)
        return done.returncode == 0

    def _run(self, *arguments: str, folder: Path | None = None) -> str:
        done = self._call(*arguments, folder=folder)
        if done.returncode != 0:
            raise self._failed(arguments[0], done)
        return done.stdout

    def _call(self, *arguments: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        command = ["restic", "--repo", self._address, "--cache-dir", str(self._cache), *arguments]
        return subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
        )

    def _failed(self, what: str, done: subprocess.CompletedProcess[str]) -> BackupError:
        said = done.stderr.strip()[-2000:] or done.stdout.strip()[-2000:]
        return BackupError(
            f"restic {what} failed on {self._address}:\n{said}",
            hint="is the repository there, and is its password the one in RESTIC_PASSWORD_FILE?",
        )


def _seconds(moment: str) -> str:
    """A moment of restic's as Python 3.11 reads one: with microseconds, not nanoseconds."""
    whole, _, rest = moment.partition(".")
    zone = rest.lstrip("0123456789")
    return f"{whole}.{rest[: len(rest) - len(zone)][:6].ljust(6, '0')}{zone}" if rest else moment


class PlainFolder:
    """A folder per backup, each with the hashes of its files. Nothing is removed, and nothing is encrypted."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(self, folder: Path) -> str:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        made = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        with scratch_folder(self._root, ".creating-") as scratch:
            copy = scratch / made
            shutil.copytree(folder, copy, symlinks=True)
            (copy / _SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in _digests(copy).items()))
            os.sync()
            copy.rename(self._root / made)
        return made

    def list(self) -> list[Backup]:
        found = sorted((path.parent for path in self._root.glob(f"[0-9]*/{_SUMS}")), reverse=True)
        return [
            Backup(id=path.name, created=datetime.strptime(path.name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC))
            for path in found
        ]

    def verify(self) -> None:
        for backup in self.list():
            _compare(self._root / backup.id, self._root / backup.id)

    def manifest(self, backup: Backup) -> Manifest:
        return Manifest.model_validate_json((self._root / backup.id / MANIFEST).read_text(encoding="utf-8"))

    def fetch(self, backup: Backup, folder: Path) -> None:
        shutil.copytree(self._root / backup.id, folder, symlinks=True, dirs_exist_ok=True)
        _compare(self._root / backup.id, folder)
        (folder / _SUMS).unlink()


def _digests(folder: Path) -> dict[str, str]:
    """File to its SHA-256, as `sha256sum --check` reads them."""
    found = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()):
        with file.open("rb") as stream:
            found[file.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found


def _compare(backup: Path, folder: Path) -> None:
    lines = (backup / _SUMS).read_text(encoding="utf-8").splitlines()
    recorded = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    found = {name: digest for name, digest in _digests(folder).items() if name != _SUMS}
    wrong = sorted(name for name in recorded.keys() | found.keys() if recorded.get(name) != found.get(name))
    if wrong or MANIFEST not in recorded:
        raise BackupError(
            f"backup {backup.name} is damaged: {', '.join(wrong[:5]) or MANIFEST} is not what was written "
            f"({len(wrong)} files in all)",
            hint="restore another one (`aura backup list`), and move this folder away",
        )
