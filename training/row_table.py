"""Rows of a training on disk instead of in memory: an Arrow table that a process writes once and maps.

A million photos or conversations as Python objects take gigabytes, and data loader workers copy them page by page. Here
a row becomes an object when it is looked at (about 0.05 ms), and workers share the mapped file. Of Hugging Face
`datasets` only the Arrow writer and `Dataset.from_file` are used: they touch the named file alone, so there is no hub, no
cache to go stale and nothing outside the home folder.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import psutil
from datasets import Dataset, Features
from datasets.arrow_writer import ArrowWriter

from aura.paths import cache_dir

RowT = TypeVar("RowT")
Values = dict[str, Any]
_MAX_AGE_SECONDS = 30 * 24 * 3600
"""Age above which a table of another machine is removed: whether its process lives is unknown here."""
_READ_ROWS = 1000
"""Rows decoded at a time when a table is read from start to end."""


@dataclass(frozen=True)
class RowCodec(Generic[RowT]):
    """How a row is stored: the columns with their types, and both directions.

    Attributes:
        decode: must be picklable when data loader workers are spawned.
    """

    features: Features
    encode: Callable[[RowT], Values]
    decode: Callable[[Values], RowT]


class RowTable(Sequence[RowT]):
    """An immutable sequence of rows in a memory-mapped Arrow file."""

    def __init__(self, dataset: Dataset, decode: Callable[[Values], RowT]) -> None:
        self._dataset, self._decode = dataset, decode

    @classmethod
    def write(cls, rows: Iterable[RowT], codec: RowCodec[RowT]) -> RowTable[RowT]:
        """Write rows as they come and map them; the file below `AURA_HOME` goes when the table goes.

        Errors of `rows` pass through, and nothing is left then.
        """
        file = _new_file()
        try:
            writer = ArrowWriter(features=codec.features, path=str(file))
            for row in rows:
                writer.write(codec.encode(row))
            writer.finalize()
            writer.close()
            table = cls(Dataset.from_file(str(file)), codec.decode)
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        weakref.finalize(table, _remove, file, os.getpid())
        return table

    def __len__(self) -> int:
        return len(self._dataset)

    @overload
    def __getitem__(self, index: int) -> RowT: ...

    @overload
    def __getitem__(self, index: slice) -> list[RowT]: ...

    def __getitem__(self, index: int | slice) -> RowT | list[RowT]:
        if isinstance(index, slice):
            return [self._decode(self._dataset[row]) for row in range(*index.indices(len(self)))]
        return self._decode(self._dataset[index])

    def __iter__(self) -> Iterator[RowT]:
        for columns in self._dataset.iter(_READ_ROWS):
            for values in zip(*columns.values(), strict=True):
                yield self._decode(dict(zip(columns, values, strict=True)))


def _new_file() -> Path:
    """A name that says which process of which machine owns the file; what killed processes left is removed."""
    folder = cache_dir() / "row-tables"
    folder.mkdir(parents=True, exist_ok=True)
    machine = socket.gethostname()
    for file in folder.glob("*~*~*.arrow"):
        host, process, _ = file.name.rsplit("~", 2)
        with suppress(OSError):  # another process removed it first
            old = time.time() - file.stat().st_mtime > _MAX_AGE_SECONDS
            if old or (host == machine and not psutil.pid_exists(int(process))):
                file.unlink()
    return folder / f"{machine}~{os.getpid()}~{uuid.uuid4().hex}.arrow"


def _remove(file: Path, owner: int) -> None:
    # A forked worker inherits the finalizer, not the file.
    if os.getpid() == owner:
        with suppress(OSError):  # Windows refuses while the file is mapped; the next process removes it
            file.unlink()
