"""Are the files of a DVC repository those that its `dvc.lock` records?

Their hashes are computed here from the bytes. DVC compares files with hashes that it remembers, and takes a file of its cache
that is read-only for whole, so it says nothing about one that was cut off by a full disk or a power cut.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_LIST = ".dir"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RecordedFile:
    """A file, or the list of a folder's files.

    Attributes:
        path: relative to the repository.
        md5: hash of its content, with `.dir` behind that of a list.
    """

    path: str
    md5: str

    @property
    def is_list(self) -> bool:
        return self.md5.endswith(_LIST)


def differing(repository: Path, cache: Path) -> list[RecordedFile]:
    """Recorded files that are missing or have another content; for a folder whose list is missing or damaged, the list."""
    return [file for file in _recorded(repository, cache) if not _whole(_place(repository, cache, file), file)]


def set_damaged_aside(repository: Path, cache: Path) -> None:
    """Take damaged contents of recorded files out of the cache, so that DVC fetches them from the remote."""
    for file in _recorded(repository, cache):
        found = object_file(cache, file)
        if found.is_file() and not _whole(found, file):
            aside = found.with_name(f"{found.name}.damaged")
            found.replace(aside)
            logger.warning("%s is damaged in the cache of snapshots; it is now %s", file.path, aside)


def object_file(cache: Path, file: RecordedFile) -> Path:
    """Where DVC's cache keeps a content."""
    return cache / "files" / "md5" / file.md5[:2] / file.md5[2:]


def _recorded(repository: Path, cache: Path) -> Iterator[RecordedFile]:
    """Every file that is kept in the cache, and before a folder's files their list."""
    for out in _cached_outs(repository):
        yield out
        if out.is_list and _whole(object_file(cache, out), out):
            for entry in json.loads(object_file(cache, out).read_text(encoding="utf-8")):
                yield RecordedFile(path=f"{out.path}/{entry['relpath']}", md5=entry["md5"])


def _place(repository: Path, cache: Path, file: RecordedFile) -> Path:
    return object_file(cache, file) if file.is_list else repository / file.path


def _whole(found: Path, file: RecordedFile) -> bool:
    if not found.is_file():
        return False
    with found.open("rb") as stream:
        return hashlib.file_digest(stream, "md5").hexdigest() == file.md5.removesuffix(_LIST)


def _cached_outs(repository: Path) -> Iterator[RecordedFile]:
    """Outputs that are kept in the cache; the others are small files that Git has."""
    stages = yaml.safe_load((repository / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    recorded = yaml.safe_load((repository / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    for name, stage in recorded.items():
        declared = [*stages[name].get("outs", []), *stages[name].get("metrics", []), *stages[name].get("plots", [])]
        uncached = {path for entry in declared for path in _uncached(entry)}
        for out in stage.get("outs", []):
            if out["path"] not in uncached:
                yield RecordedFile(path=out["path"], md5=out["md5"])


def _uncached(entry: Any) -> Iterator[str]:
    if isinstance(entry, dict):
        yield from (path for path, options in entry.items() if options.get("cache") is False)
