"""Where things lie: the repository, and the home folder that everything local lives under.

`AURA_HOME` moves the home (default: `var/` in the repository, ignored by git). A home may be renamed or moved between two
runs: what lies in it is found by its place in the home, never by a recorded absolute path.
"""

from __future__ import annotations

import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from aura.errors import SettingsError

_HANDLES = Path("/proc/self/fd")
"""Where Linux shows the open folders of a process under names of digits."""
_REFUSED = re.compile(r"[?{}\x00-\x1f\x7f\u2028\u2029\ud800-\udfff]|%\(")
"""What a store takes for its own syntax, whatever the quoting: SQLAlchemy cuts a path at `?`, DVC formats `{}` and `%()s`."""
_PLAIN = re.compile(r"[\w./+=@,~-]*", re.ASCII)
TEMPORARY_PATH_CHARS = 60
"""Longest path of the folder for temporary files: BentoML puts sockets there under names of 42 characters, and accepts
at most 102 in all (the system: 107)."""


def repo_root() -> Path:
    """Folder that holds `configs/`, `data/` and `dvc.yaml` (in a Bento: the packed sources)."""
    return Path(__file__).resolve().parents[1]


def home() -> Path:
    """The home folder; not created here.

    Raises:
        SettingsError: its path holds characters that one of the stores in it cannot take.
    """
    configured = os.environ.get("AURA_HOME")
    path = Path(configured).expanduser().resolve() if configured else repo_root() / "var"
    if found := _REFUSED.search(str(path)):
        raise SettingsError(
            f"the home folder {str(path)!r} holds {found.group()!r}, which its stores cannot take",
            hint="set AURA_HOME to a folder without ? { } %( and control characters in its path",
        )
    if not _HANDLES.is_dir() and not _PLAIN.fullmatch(str(path)):
        raise SettingsError(
            f"the home folder {str(path)!r} holds spaces, signs or letters that are not ASCII; on this system LanceDB would "
            "write the tags of the index beside it",
            hint="set AURA_HOME to a folder whose path holds only ASCII letters, digits and . / _ + = @ , ~ -",
        )
    return path


def check_temporary_folder() -> None:
    """Refuse a folder for temporary files in which no server can open its sockets.

    Raises:
        SettingsError: its path is too long.
    """
    folder = tempfile.gettempdir()
    if len(folder.encode()) > TEMPORARY_PATH_CHARS:
        raise SettingsError(
            f"the folder for temporary files has {len(folder.encode())} characters in its path, and the servers' sockets "
            f"in it may have {TEMPORARY_PATH_CHARS}: {folder}",
            hint="set TMPDIR to a shorter one, for example TMPDIR=/tmp",
        )


_held: dict[tuple[int, int], int] = {}


def held(folder: Path) -> Path:
    """Another name of a folder: plain ASCII, and right as long as this process lives, also after the folder was moved.

    LanceDB percent-encodes the path of a table when it writes its tags, which in a home such as `/home/jürgen` creates a
    second folder beside the first (lance 8652); and it opens files by their absolute paths whenever a search needs them.
    Where the system has no such names (it is not Linux), the folder's own.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if not _HANDLES.is_dir():
        return folder
    found = folder.stat()
    # Never closed: the number would name another folder, and readers live as long as the process.
    identity = (found.st_dev, found.st_ino)
    if identity not in _held:
        _held[identity] = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    return _HANDLES / str(_held[identity])


@dataclass(frozen=True, kw_only=True)
class ProfilePaths:
    """Folders of one profile; two profiles share none."""

    home: Path
    profile: str

    @property
    def workspace(self) -> Path:
        """Git and DVC working copy in which the pipeline runs and nights are recorded."""
        return self.home / "pipelines" / self.profile

    @property
    def index(self) -> Path:
        """LanceDB database with the knowledge and catalog tables."""
        return self.home / "index" / self.profile

    @property
    def reports(self) -> Path:
        return self.home / "reports" / self.profile

    @property
    def logs(self) -> Path:
        return self.home / "logs" / self.profile


def profile_paths(profile: str) -> ProfilePaths:
    return ProfilePaths(home=home(), profile=profile)


def cache_dir() -> Path:
    """Converted base models and other things that can be made again."""
    return home() / "cache"
