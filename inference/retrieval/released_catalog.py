"""The catalog of one release of the index: its items and their pictures, read from the table that searches read.

So whoever recommends or judges items knows exactly those that a search of this release finds.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path

import lancedb
from lancedb.expr import col
from lancedb.table import Table
from PIL import Image

from aura.errors import IndexNotReadyError
from aura.prepared_rows import CatalogRow
from aura.releases import IndexVersion
from inference.retrieval.catalog import decode_picture
from inference.retrieval.integrity import LANCE_ERRORS, rows_of
from inference.retrieval.object_store import refuse_away
from inference.retrieval.releases import (
    BUILD_HINT,
    PREVIOUS,
    SERVING,
    Release,
    connect_existing,
    kept_release,
    read_releases,
)
from inference.retrieval.tables import CATALOG, PICTURE

logger = logging.getLogger(__name__)
_COLUMNS = ("item_id", "category", "title", "description", "attributes", "image")


def kept_catalogs(uri: str | Path, opened: Sequence[ReleasedCatalog] = ()) -> list[ReleasedCatalog]:
    """Catalogs of the releases that the index at `uri` keeps, the served one first; one that cannot be read is left out.

    Args:
        opened: catalogs that were opened before; they are not read again.

    Raises:
        IndexUnavailableError: the object store of the index does not answer.
    """
    try:
        connection = connect_existing(str(uri))
        releases = read_releases(connection)
    except IndexNotReadyError:
        return []
    catalogs = []
    for name in (SERVING, PREVIOUS):
        if (release := releases.get(name)) is None:
            continue
        known = next((catalog for catalog in opened if catalog.release.identity == release.identity), None)
        try:
            catalogs.append(known or _open(connection, release))
        except (IndexNotReadyError, *LANCE_ERRORS) as error:
            refuse_away(error)
            logger.warning("items of release %d of the index are not known: %s", release.number, error)
    return catalogs


def released_catalog(uri: str | Path, wanted: IndexVersion) -> ReleasedCatalog:
    """The catalog of a release that the index at `uri` keeps.

    Raises:
        IndexNotReadyError: it is not kept, or cannot be read.
    """
    connection = connect_existing(str(uri))
    return _open(connection, kept_release(connection, wanted))


def _open(connection: lancedb.DBConnection, release: Release) -> ReleasedCatalog:
    table = connection.open_table(CATALOG)
    table.checkout(release.catalog_version)
    return ReleasedCatalog(table, release)


class ReleasedCatalog:
    """Items of one release; safe to share between threads.

    Attributes:
        release: the release; its number alone does not tell it from one of an index that was deleted and built again.
        rows: all items, ordered by id.
        hashes: content hash of each item, in the order of `rows`: of its texts, its picture and the index's embedding models.
    """

    def __init__(self, table: Table, release: Release) -> None:
        """Args:
        table: the catalog's table at the release's version.

        Raises:
            IndexNotReadyError: the release is from before the index held the pictures, or cannot be read.
        """
        if PICTURE not in table.schema.names:
            raise IndexNotReadyError(
                f"release {release.number} of the index is from an older Aura and holds no pictures",
                hint=BUILD_HINT,
            )
        self.release = release
        stored = rows_of(table.search().select([*_COLUMNS, "content_hash"]).limit(None)).to_pylist()
        stored.sort(key=lambda row: row["item_id"])
        self.hashes: list[str] = [row.pop("content_hash") for row in stored]
        self.rows = [CatalogRow.model_validate(row | {"attributes": json.loads(row["attributes"])}) for row in stored]
        self._row_of = {row.item_id: row for row in self.rows}
        self._table = table

    @property
    def version(self) -> int:
        """Number of the release."""
        return self.release.number

    def row(self, item_id: str) -> CatalogRow | None:
        return self._row_of.get(item_id)

    def pictures(self, rows: Sequence[CatalogRow]) -> list[Image.Image]:
        """Pictures of some of the items, in their order.

        Raises:
            DataError: a picture is broken.
            IndexNotReadyError: a file of the index is missing or damaged.
        """
        wanted = col("item_id").isin([row.item_id for row in rows])
        if not rows:
            return []
        found = rows_of(self._table.search().where(wanted).select(["item_id", PICTURE]).limit(None)).to_pylist()
        files = {row["item_id"]: row[PICTURE] for row in found}
        return [decode_picture(io.BytesIO(files[row.item_id]), row.image) for row in rows]
