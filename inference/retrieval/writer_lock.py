"""Lock of the single writer of an index.

In a folder it is a file, which the system unlocks when the holder dies. In an object store it is a lease in a table `writer`
beside the others: one row says who may write and until when, and of two updates of one row Lance commits the first alone. The
holder renews it; once it is over, as after a kill, the next writer takes it. So the clocks of all machines must agree, to within
the time that is left when a lease is renewed.
"""

from __future__ import annotations

import hashlib
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import lancedb
import pyarrow as pa
from filelock import FileLock, Timeout
from lancedb.table import Table

from aura.errors import AuraError, BusyError, ForeignFolderError
from aura.paths import home
from inference.retrieval.object_store import connect_remote, is_remote, reaching_store

WRITER = "writer"
LEASE_SECONDS = 60.0
_RENEW_SECONDS = 15.0
_LOOK_SECONDS = 0.5
_KEEP_VERSIONS = timedelta(hours=1)
_SCHEMA = pa.schema([pa.field("holder", pa.string()), pa.field("until", pa.float64())])
_HINT = "wait until it has ended"
_ERRORS = (AuraError, OSError, RuntimeError, ValueError)
logger = logging.getLogger(__name__)


class WriterLock:
    """What the holder of a lock has."""

    def check(self) -> None:
        """Make sure that it is still held; call it before what others are to see.

        Raises:
            BusyError: another writer may have begun.
        """


@contextmanager
def writer_lock(uri: str, wait_s: float) -> Iterator[WriterLock]:
    """Hold the lock of the index at `uri`.

    Raises:
        BusyError: another writer held it for longer than `wait_s` seconds.
        IndexUnavailableError: the object store does not answer.
        ForeignFolderError: somebody else has a table of that name there.
    """
    remote = is_remote(uri)
    if remote:  # the writers of this machine wait here, and ask the store one at a time
        path = home() / "locks" / f"index-{hashlib.sha256(uri.encode()).hexdigest()[:16]}.lock"
    else:
        path = Path(uri).with_name(f"{Path(uri).name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(path, timeout=wait_s)
        lock.acquire()
    except Timeout as error:
        raise BusyError(f"another build is writing to the index at {uri}", hint=_HINT) from error
    try:
        if not remote:
            yield WriterLock()
            return
        with Lease(uri, wait_s) as lease:
            yield lease
    finally:
        lock.release()


class Lease(WriterLock):
    """The lock of an index in an object store, held from `__enter__` to `__exit__` and renewed by a thread."""

    def __init__(self, uri: str, wait_s: float) -> None:
        self._uri, self._wait_s = uri, wait_s
        self._holder = f"process {os.getpid()} of {socket.gethostname()}, {uuid.uuid4().hex[:8]}"
        self._until = 0.0
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="writer-lease", daemon=True)

    def __enter__(self) -> Lease:
        limit = time.monotonic() + self._wait_s
        with reaching_store():
            self._table = _open(connect_remote(self._uri))
            while not self._take(f"until < {time.time()}"):
                if time.monotonic() >= limit:
                    raise BusyError(f"{self._other()} is writing to the index at {self._uri}", hint=_HINT)
                time.sleep(_LOOK_SECONDS)
        self._renewing.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._renewing.join()
        try:
            self._table.optimize(cleanup_older_than=_KEEP_VERSIONS)
            self._table.update(where=self._mine, values={"until": 0.0})
        except _ERRORS as error:  # it ends by itself
            logger.warning("the lock of the index at %s could not be given back: %s", self._uri, error)

    def check(self) -> None:
        if time.time() >= self._until:
            raise BusyError(
                f"the lock of the index at {self._uri} could not be renewed in time, and another writer may have begun",
                hint="build again",
            )

    @property
    def _mine(self) -> str:
        return f"holder = '{self._holder}'"

    def _take(self, where: str) -> bool:
        """Write this holder into the row if a condition holds for it at that moment; returns whether it did."""
        until = time.time() + LEASE_SECONDS
        updated = self._table.update(where=where, values={"holder": self._holder, "until": until})
        if updated.rows_updated:
            self._until = until
        return bool(updated.rows_updated)

    def _other(self) -> str:
        self._table.checkout_latest()
        [row] = self._table.to_arrow().to_pylist()
        return str(row["holder"]).partition(",")[0]

    def _renew(self) -> None:
        while not self._ended.wait(_RENEW_SECONDS):
            try:
                if not self._take(self._mine):
                    self._until = 0.0
                    return
            except _ERRORS as error:  # the store is away: tried again until the lease is over
                logger.warning("the lock of the index at %s could not be renewed: %s", self._uri, error)


def _open(connection: lancedb.DBConnection) -> Table:
    free = pa.Table.from_pylist([{"holder": "", "until": 0.0}], schema=_SCHEMA)
    if WRITER not in connection.list_tables().tables:
        try:
            return connection.create_table(WRITER, free)
        except (OSError, RuntimeError, ValueError):
            if WRITER not in connection.list_tables().tables:
                raise  # not because another writer was first
    table = connection.open_table(WRITER)
    if table.schema != _SCHEMA:
        raise ForeignFolderError(
            f"Aura did not make the table {WRITER!r} in {connection.uri}, and would write to it",
            hint="give the index a database of its own",
        )
    return table
