"""What a backup holds, and how it is read at one moment while services serve.

Nights, promotions and index builds are kept out while their stores are read, by their own locks. That takes a moment: files of
stores that are only added to are given a second name (a hard link), SQLite copies its databases itself, Git bundles its
repositories. PostgreSQL reads itself as of one moment; pictures are collected before and after, so none that it names is missing.

Not in it: what is made again (`cache`, `serving`, `code`, `bentoml`, the gateway's own certificate), logs and metrics.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import BaseModel

from aura.artifact import write_text
from aura.errors import BusyError
from aura.git import git
from aura.lineage import git_commit
from aura.scratch import scratch_folder
from flows.run_lock import RunLock
from inference.retrieval.writer_lock import writer_lock
from stores.dump import dump, write_count

MANIFEST, DATABASE = "manifest.json", "postgres.dump"
MLFLOW, PREFECT = "mlflow/mlflow.db", "prefect/prefect.db"
_AT_ONE_MOMENT = ("index", "dvc", "mlflow/artifacts", "raw", "category-maps", "reports")
"""Folders of the home that nights and promotions write: read under their locks."""
_PICTURES, _KEYS = "pictures", "secrets"
_SQLITE = (MLFLOW, PREFECT)
_PIPELINES, _BUNDLE = "pipelines", "nights.bundle"
_LOCK_SECONDS = 60.0


class Manifest(BaseModel):
    """What a backup says of itself.

    Attributes:
        release: what served, in words; empty: nothing did.
        folders: first folders of the home that it holds.
        elsewhere: stores that it does not hold, because they do not lie in the home.
        states: database to its state, as `write_count` or `sqlite_state` tells it: the same later, where nothing was written.
    """

    created: datetime
    git_commit: str
    release: str
    folders: list[str]
    elsewhere: list[str]
    states: dict[str, str] = {}


def collect(home: Path, folder: Path, database_url: str, release: str, elsewhere: list[str]) -> Manifest:
    """Read a home into an empty folder on the same disk.

    Raises:
        BusyError: a night or a build runs, or a key was changed meanwhile.
        DatabaseError: the database cannot be read.
    """
    created = datetime.now(UTC)
    states = {}
    with still(home):
        for name in _AT_ONE_MOMENT:
            _link(home / name, folder / name)
        for name in _SQLITE:
            if (home / name).is_file():
                copy_sqlite(home / name, folder / name)
                states[name] = file_hash(folder / name)
        for repository in sorted((home / _PIPELINES).glob("*/.git")):
            _bundle(repository.parent, folder / _PIPELINES / repository.parent.name / _BUNDLE)
    keys = _keys(home)
    _link(home / _PICTURES, folder / _PICTURES)
    states[DATABASE] = write_count(database_url)  # before it is read: what is written meanwhile makes another state
    dump(database_url, folder / DATABASE)
    _link(home / _PICTURES, folder / _PICTURES)
    if _keys(home) != keys:
        raise BusyError("keys were changed while the backup was made", hint="make it again")
    for name, content in keys.items():
        (folder / name).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
        (folder / name).chmod(0o600)
    manifest = Manifest(
        created=created, git_commit=git_commit(), release=release, elsewhere=elsewhere, states=states,
        folders=sorted(path.name for path in folder.iterdir() if path.is_dir()),
    )  # fmt: skip
    write_text(folder / MANIFEST, manifest.model_dump_json(indent=2))
    return manifest


@contextmanager
def still(home: Path, *, releases: bool = True) -> Iterator[None]:
    """Hold while no night, promotion or index build goes on.

    Args:
        releases: whether no release may be made either; not for who makes one.

    Raises:
        BusyError: says what does.
    """
    with ExitStack() as held:
        for repository in sorted((home / _PIPELINES).glob("*/.git")):
            held.enter_context(RunLock(repository.parent, repository.parent.name).held())
        for index in sorted(path for path in (home / "index").glob("*") if path.is_dir()):
            held.enter_context(writer_lock(str(index), _LOCK_SECONDS))
        for file in sorted((home / "locks").glob("*.lock")) if releases else ():
            try:
                held.enter_context(FileLock(file, timeout=_LOCK_SECONDS))
            except Timeout as error:
                raise BusyError("a release is being made", hint="wait until it has ended") from error
        yield


def _link(source: Path, target: Path) -> None:
    """Give every file of a folder a second name; those that have one already keep it. Links stay links."""
    if not source.is_dir():
        return
    target.mkdir(parents=True, exist_ok=True)
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        there = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            _link(Path(entry.path), there)
            continue
        with suppress(FileExistsError, FileNotFoundError):  # collected before; removed meanwhile
            try:
                os.link(entry.path, there, follow_symlinks=False)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EPERM):  # another disk; another account's file
                    raise
                shutil.copy2(entry.path, there, follow_symlinks=False)


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite database as it is at one moment, while others write."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source, timeout=_LOCK_SECONDS)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)


def sqlite_state(source: Path) -> str:
    """What a SQLite database holds, as one hash: that of the copy that a backup has of it."""
    with scratch_folder(source.parent, ".hashing-") as folder:
        copy_sqlite(source, folder / source.name)
        return file_hash(folder / source.name)


def file_hash(file: Path) -> str:
    """SHA-256 of a file; that of a copy of a SQLite database is what `sqlite_state` says of the original."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _bundle(repository: Path, target: Path) -> None:
    """A repository as one file, with all that its tags name; one without a commit holds nothing yet."""
    if not git(repository, "for-each-ref").strip():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    git(repository, "bundle", "create", "--quiet", str(target), "HEAD", "--all")


def _keys(home: Path) -> dict[str, bytes]:
    files = sorted(path for path in (home / _KEYS).rglob("*") if path.is_file() and path.name != ".lock")
    return {file.relative_to(home).as_posix(): file.read_bytes() for file in files}


def place(folder: Path, home: Path) -> None:
    """Put what `collect` has read where it belongs; the home has none of it."""
    for bundle in sorted((folder / _PIPELINES).glob(f"*/{_BUNDLE}")):
        copy = bundle.parent / "clone"
        git(bundle.parent, "clone", "--quiet", str(bundle), str(copy))
        git(copy, "remote", "remove", "origin")
        bundle.unlink()
        for entry in list(copy.iterdir()):
            entry.rename(bundle.parent / entry.name)
        copy.rmdir()
    for source in sorted(path for path in folder.iterdir() if path.is_dir()):
        target = home / source.name
        try:
            target.rmdir()  # an empty one
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
            for entry in sorted(source.iterdir()):  # a volume of its own, as containers have
                shutil.move(entry, target / entry.name)
            continue
        source.rename(target)


def occupied(home: Path) -> list[str]:
    """Folders of a home that a backup would fill, and that hold something."""
    names = dict.fromkeys(
        [*(name.partition("/")[0] for name in (*_AT_ONE_MOMENT, *_SQLITE)), _PICTURES, _KEYS, _PIPELINES]
    )
    return [name for name in names if (home / name).is_dir() and any((home / name).iterdir())]
