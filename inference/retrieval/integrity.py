"""Is a table of the index whole? And what a build does with one that is not.

Lance opens a table from its manifest alone: a file that is missing or cut off is met by the first search that needs it, as an
error without a class of its own. So tables are tried before anybody relies on them.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import lancedb
import numpy as np
import pyarrow as pa
from lancedb.query import LanceQueryBuilder
from lancedb.table import Table

from aura.errors import IndexNotReadyError
from inference.retrieval.object_store import is_remote, refuse_away
from inference.retrieval.tables import CATALOG, KNOWLEDGE, PICTURE

LANCE_ERRORS = (OSError, RuntimeError, ValueError)
"""What Lance raises: it defines no error classes."""
RELEASES = "releases"
KEYS = {KNOWLEDGE: "chunk_id", CATALOG: "item_id"}
"""Table to its key column."""

_PICTURES = 64
"""Pictures that are read at once."""

logger = logging.getLogger(__name__)


def damage(table: Table, key: str) -> str:
    """Why the version that `table` is at cannot be searched; empty when it can. Reads every data file's end, and the indices."""
    try:
        table.search().select([key]).limit(None).to_arrow()
        for index in table.list_indices():
            table.prewarm_index(index.name)
    except LANCE_ERRORS as error:
        refuse_away(error)
        return _short(error)
    return ""


def rows_of(search: LanceQueryBuilder) -> pa.Table:
    """Rows of a search.

    Raises:
        IndexNotReadyError: a file that the search needs has gone or been damaged since the release was opened.
        IndexUnavailableError: the object store of the index does not answer.
    """
    try:
        return search.to_arrow()
    except (OSError, RuntimeError) as error:
        refuse_away(error)
        logger.warning("a search failed: %s", _short(error))
        raise IndexNotReadyError(
            "the index cannot be read: one of its files is missing or damaged", hint="run `aura index build`"
        ) from error


def content_digest(table: Table, key: str) -> str:
    """SHA-256 over all rows of the version that `table` is at, in the order of their keys.

    Raises:
        OSError, RuntimeError, ValueError: a file of it cannot be read.
    """
    # Pictures may be gigabytes, more than Arrow sorts in one piece: they are read a few at a time.
    names = [name for name in table.schema.names if name != PICTURE]
    rows = table.search().select(names).with_row_id(True).limit(None).to_arrow().sort_by(key)
    digest = hashlib.sha256()
    for field in table.schema:
        digest.update(field.name.encode() + b"\0")
        if field.name == PICTURE:
            for picture in _pictures(table, key, rows):
                _add(digest, picture)
            continue
        column = rows[field.name].combine_chunks()
        if pa.types.is_fixed_size_list(field.type):
            digest.update(np.ascontiguousarray(column.flatten().to_numpy(zero_copy_only=False)).tobytes())
            continue
        for value in column.to_pylist():
            _add(digest, value)
    return digest.hexdigest()


def _add(digest: hashlib._Hash, value: object) -> None:
    content = value if isinstance(value, bytes) else str(value).encode()
    digest.update(len(content).to_bytes(8, "big") + content)


def _pictures(table: Table, key: str, rows: pa.Table) -> Iterator[bytes | None]:
    """The pictures of rows, in their order."""
    for start in range(0, len(rows), _PICTURES):
        batch = rows.slice(start, _PICTURES)
        taken = table.take_row_ids(batch["_rowid"].to_pylist()).select([key, PICTURE]).to_arrow().to_pylist()
        found = {row[key]: row[PICTURE] for row in taken}
        yield from (found[name] for name in batch[key].to_pylist())


def mend(connection: lancedb.DBConnection, uri: str, served: Mapping[str, Mapping[str, int]]) -> bool:
    """Make the newest version of both tables readable, from a release if need be; returns False if that is not possible.

    Args:
        served: table to release to version, the most wanted first. Each of them is readable.
    """
    existing = _existing(connection)
    for name, key in KEYS.items():
        versions = served.get(name, {})
        if name not in existing:
            if versions:
                return False  # the releases name a table that is gone
            continue
        problem = _newest_damage(connection, name, key)
        if problem and not _go_back(connection, name, key, versions):
            logger.warning("the table %s of the index at %s is damaged: %s", name, uri, problem)
            return False
    return True


def set_aside(connection: lancedb.DBConnection, uri: str) -> None:
    """Take Aura's tables away, so that the next build begins with nothing. On an object store they are dropped."""
    ours = {*KEYS, RELEASES}
    if is_remote(uri):
        for name in ours & _existing(connection):
            connection.drop_table(name)
        logger.warning("the tables of the index at %s were dropped; they are built again", uri)
        return
    aside = Path(f"{uri}.damaged")
    number = 1
    while aside.exists():
        number += 1
        aside = Path(f"{uri}.damaged-{number}")
    aside.mkdir(parents=True)
    for table in Path(uri).glob("*.lance"):
        if table.stem in ours:
            table.rename(aside / table.name)
    logger.warning("the tables of the index are now in %s, to be looked at or deleted; they are built again", aside)


def _existing(connection: lancedb.DBConnection) -> set[str]:
    return set(connection.list_tables().tables)


def _newest_damage(connection: lancedb.DBConnection, name: str, key: str) -> str:
    """Damage that a build cannot mend in passing: it makes indices again, but needs the rows, versions and tags."""
    try:
        table = connection.open_table(name)
        if key not in table.schema.names:
            return ""  # somebody else's: the build refuses it
        table.search().select([key]).limit(None).to_arrow()
        table.list_versions()
        table.tags.list()
    except LANCE_ERRORS as error:
        refuse_away(error)
        return _short(error)
    return ""


def _go_back(connection: lancedb.DBConnection, name: str, key: str, versions: Mapping[str, int]) -> bool:
    """Make the version of a release the newest one."""
    for release, version in versions.items():
        try:
            table = connection.open_table(name)
            table.checkout(version)
            table.to_arrow()
            table.restore()
        except LANCE_ERRORS as error:
            refuse_away(error)
            continue
        if not _newest_damage(connection, name, key):
            logger.warning(
                "the newest rows of %s are damaged; the build begins with those of the %s release", name, release
            )
            return True
    return False


def _short(error: Exception) -> str:
    """The first line of Lance's message, without the places in its own source."""
    return re.split(r", /|\n", str(error))[0]
