"""Raw source folders: the report of an import, writing a source in one rename, finding a complete source.

Every source has the same layout; what a source cannot give is left out:

    detection/images/<file>.jpg, detection/annotations.json    COCO, with a `group` per picture
    outfits/images/<item_id>.jpg, outfits/items.jsonl, outfits/outfits.jsonl
    catalog/images/<item_id>.jpg, catalog/catalog.jsonl
    source.json                                                the mark that the folder is complete

Folders are replaced whole, files in them are never written again: preparation links to them.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
from pydantic import BaseModel, ConfigDict, ValidationError
from rich.console import Console
from rich.progress import track

from aura.artifact import content_hash, read_json, recover_dir, write_json
from aura.errors import BusyError, DataError
from aura.output_folders import RAW_SOURCE, refuse_foreign, replace_output
from dataprep.importers import usage_of
from dataprep.settings import ImportSettings

MANIFEST = RAW_SOURCE.file
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_MAX_EXAMPLES = 5


class Manifest(BaseModel):
    """What a complete raw source holds and how it was made: the content of `source.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str
    licence: str = ""
    origin: str = ""
    """Where the data set is published."""
    counts: dict[str, int] = {}
    """Rows per table."""
    categories: dict[str, int] = {}
    """Garments per category."""
    skipped: dict[str, int] = {}
    """Files and rows that were left out, per reason."""
    examples: dict[str, list[str]] = {}
    """At most five names per reason."""
    settings: dict[str, Any] = {}
    """Settings that decided what the source holds."""
    content_hash: str = ""
    seed: int | None = None
    """Seed of a drawn source."""
    drawn_by: str = ""
    """Hash of the code that drew the source."""

    def write(self, folder: Path) -> None:
        write_json(folder / MANIFEST, self.model_dump(mode="json", exclude_unset=True))


@dataclass
class ImportReport:
    """What an import took and what it left out, by reason, with a few names each.

    Attributes:
        origin: where the data set is published.
        unusable: files or rows of which nothing could be used; the reasons are in `skipped` too.
    """

    source: str
    licence: str
    origin: str
    counts: dict[str, int] = field(default_factory=dict)
    categories: dict[str, int] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    unusable: int = 0

    def skip(self, reason: str, name: str, *, whole_file: bool) -> None:
        """Record that a file (`whole_file`) or a part of it is left out."""
        # Bytes of a file's name that are not UTF-8 cannot be printed or written to a table.
        name = os.fsencode(name).decode("utf-8", "backslashreplace")
        self.unusable += whole_file
        self.skipped[reason] += 1
        names = self.examples.setdefault(reason, [])
        if len(names) < _MAX_EXAMPLES and name not in names:
            names.append(name)

    def skip_twin(self, name: str) -> None:
        """Record a file that differs from one that is taken in the end of its name only."""
        self.skip("another file has the same name", name, whole_file=False)

    def to_text(self) -> str:
        """For a terminal: a line of counts, then a line per reason."""
        counts = ", ".join(f"{number} {name}" for name, number in self.counts.items()) or "nothing taken"
        lines = [f"{self.source}: {counts}"]
        for reason, number in self.skipped.most_common():
            names = self.examples[reason]
            lines.append(f"  left out {number}: {reason} ({', '.join(names)}{', ...' if number > len(names) else ''})")
        return "\n".join(lines)

    def refuse_if_bad(self, total: int, limit: float) -> None:
        """Raise when too large a share of the files is unusable.

        Raises:
            DataError: lists what was left out.
        """
        if self.unusable > limit * total:
            raise DataError(
                f"{self.unusable} of {total} files of {self.source} are unusable, more than {limit:.0%}:\n{self.to_text()}",
                hint="repair or download the files again; data.imports.max_bad_fraction is the limit",
            )


def progress(results: Iterable[Any], what: str, total: int | None) -> Iterator[Any]:
    """A progress bar on the error stream, so that the output stays machine-readable."""
    yield from track(results, what, total=total, console=Console(stderr=True))


@contextmanager
def locked(raw_dir: Path, *, wait_seconds: float) -> Iterator[None]:
    """Lock the folder against replacement. The system frees the lock when the process dies.

    Raises:
        BusyError: another import or preparation holds it for longer than `wait_seconds`.
    """
    raw_dir.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(raw_dir.parent, os.W_OK):  # read-only storage: nothing can be replaced
        yield
        return
    # A singleton per process: a preparation that holds a source may still draw it.
    lock = filelock.FileLock(raw_dir.with_name(f".{raw_dir.name}.lock"), is_singleton=True)
    try:
        lock.acquire(timeout=wait_seconds)
    except filelock.Timeout:
        raise BusyError(
            f"another import or preparation is using the source {raw_dir.name!r}",
            hint="wait until it has ended and run the command again",
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def writing(raw_dir: Path, report: ImportReport, settings: ImportSettings) -> Iterator[Path]:
    """A folder to write a source into; it takes the place of `raw_dir` when the block ends without an error.

    Raises:
        BusyError: another import or preparation is using the source.
        ForeignFolderError: the folder is there, and holds no source.
        DataError: the disk is full or not writable.
    """
    building = raw_dir.with_name(f".{raw_dir.name}.importing")
    try:
        with locked(raw_dir, wait_seconds=1):
            recover_dir(raw_dir)
            refuse_foreign({raw_dir: RAW_SOURCE})
            # Left by a killed import.
            shutil.rmtree(building, ignore_errors=True)
            try:
                building.mkdir(parents=True)
                yield building
                _manifest(building, report, settings).write(building)
                replace_output(building, raw_dir, RAW_SOURCE)
            finally:
                shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        remedy = "free some space" if error.errno in _NO_SPACE else "make the folder writable"
        raise DataError(
            f"cannot write below {raw_dir.parent}: {error}", hint=f"{remedy}, or move AURA_HOME, and import again"
        ) from error


def _manifest(building: Path, report: ImportReport, settings: ImportSettings) -> Manifest:
    return Manifest(
        name=report.source, licence=report.licence, origin=report.origin, counts=report.counts,
        categories=report.categories, skipped=dict(report.skipped), examples=report.examples,
        settings=settings.content_settings(), content_hash=content_hash(building),
    )  # fmt: skip


def read_manifest(raw_dir: Path) -> Manifest:
    """Manifest of a complete source.

    Raises:
        DataError: the source was never imported, or its manifest is broken; the hint is the command that imports it.
    """
    recover_dir(raw_dir)
    again = f"run: aura data import {usage_of(raw_dir.name)}"
    if not (raw_dir / MANIFEST).is_file():
        raise DataError(f"the source {raw_dir.name!r} is not imported ({raw_dir} has no {MANIFEST})", hint=again)
    try:
        return Manifest.model_validate(read_json(raw_dir / MANIFEST, f"the manifest of the source {raw_dir.name}"))
    except ValidationError as error:
        raise DataError(f"{raw_dir / MANIFEST} is no manifest of a source: {error}", hint=again) from error


def check_layout(root: Path, needed: Sequence[str], shape: str) -> None:
    """Refuse a folder that is not a clone of the data set.

    Args:
        needed: files, and folders ending in `/`, relative to `root`.
        shape: the layout in words, for the hint.

    Raises:
        DataError: names everything that is missing.
    """
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", hint=f"give the folder that has {shape}")
    missing = [
        name for name in needed if not ((root / name).is_dir() if name.endswith("/") else (root / name).is_file())
    ]
    if missing:
        raise DataError(f"{root} lacks {', '.join(missing)}", hint=f"give the folder that has {shape}")
