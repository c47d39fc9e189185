"""Reading the index: hybrid search over knowledge and catalog, and items that look like a picture.

A reader holds the versions that the release `serving` names and nothing newer, even while a writer works;
`refresh` moves it to the release that is served now. Scores: `relevance` of a hybrid search is a fused rank score, good
for ordering one answer only; `similar_items` gives cosine similarity.
"""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
from lancedb.expr import Expr
from lancedb.table import Table
from PIL import Image

from aura.errors import IndexNotReadyError
from aura.prepared_rows import CatalogRow
from aura.releases import IndexVersion
from aura.taxonomy import Category
from inference.image_encoder import ImageEncoder, load_image_encoder
from inference.retrieval.chunks import FACETS, Section
from inference.retrieval.filters import Filters, category_condition, check_count, checked_query, facet_condition
from inference.retrieval.hybrid import hybrid_rows
from inference.retrieval.integrity import rows_of
from inference.retrieval.loaded_rows import LoadedRows
from inference.retrieval.object_store import is_remote
from inference.retrieval.released_catalog import ReleasedCatalog
from inference.retrieval.releases import (
    BUILD_HINT,
    PREVIOUS,
    Release,
    connect_existing,
    damaged,
    kept_release,
    place,
    present,
    read_releases,
    serving_release,
)
from inference.retrieval.settings import SearchSettings
from inference.retrieval.tables import CATALOG, IMAGE_VECTOR, KNOWLEDGE, TextEmbedderLike
from inference.text_embedding import text_embedder_for

logger = logging.getLogger(__name__)
_PASSAGE_COLUMNS = ["chunk_id", "slug", "title", "heading", "text", *FACETS]
_ITEM_COLUMNS = ["item_id", "category", "title", "description", "attributes", "image"]


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A chunk of a knowledge page that answers a query.

    Attributes:
        relevance: what passages of one answer are ordered by; says nothing across queries.
        similarity: cosine similarity in [-1, 1] of the query's vector and the chunk's, whichever leg found the chunk.
    """

    chunk_id: str
    slug: str
    title: str
    heading: str
    text: str
    topic: str
    season: str
    occasion: str
    garment: str
    relevance: float
    similarity: float


class CatalogHit(CatalogRow):
    """A catalog item that answers a query; `image` is relative to the catalog's folder."""

    relevance: float


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """One release, opened: both tables at its versions, and the models that embed a query for it."""

    release: Release
    knowledge: Table
    catalog: Table
    text_embedder: TextEmbedderLike
    image_embedder: ImageEncoder

    @cached_property
    def passages(self) -> LoadedRows | None:
        """The rows of `knowledge` in memory, read when they are first searched; None where there are too many."""
        return LoadedRows.of(self.knowledge, _PASSAGE_COLUMNS)


image_embedder_for = lru_cache(maxsize=2)(load_image_encoder)


def no_embedder(_reference: str) -> Any:
    """Loads nothing, for a reader that takes the catalog and never searches."""
    return None


def open_release(
    connection: lancedb.DBConnection,
    release: Release,
    text_embedders: Callable[[str], TextEmbedderLike],
    image_embedders: Callable[[str], ImageEncoder],
) -> Snapshot:
    """Open both tables at the release's versions.

    Raises:
        IndexNotReadyError: a file of them is missing or damaged.
    """
    if problem := damaged(connection, release):
        raise IndexNotReadyError(
            f"release {release.number} of the index at {place(connection)} is damaged: {problem}", hint=BUILD_HINT
        )
    knowledge, catalog = connection.open_table(KNOWLEDGE), connection.open_table(CATALOG)
    knowledge.checkout(release.knowledge_version)
    catalog.checkout(release.catalog_version)
    return Snapshot(
        release=release,
        knowledge=knowledge,
        catalog=catalog,
        text_embedder=text_embedders(release.text_embedder),
        image_embedder=image_embedders(release.image_embedder),
    )


class Index:
    """The served index. Safe to share between threads; each search uses one release from beginning to end.

    Args:
        text_embedders, image_embedders: how a release's reference becomes a model; the default loads each once per
            process.
    """

    def __init__(
        self,
        connection: lancedb.DBConnection,
        snapshot: Snapshot,
        text_embedders: Callable[[str], TextEmbedderLike] = text_embedder_for,
        image_embedders: Callable[[str], ImageEncoder] = image_embedder_for,
        *,
        uri: str = "",
    ) -> None:
        self._connection = connection
        self._uri = uri
        self._snapshot = snapshot
        self._text_embedders = text_embedders
        self._image_embedders = image_embedders
        self._refreshing = threading.Lock()

    @classmethod
    def open(
        cls,
        uri: str | Path,
        text_embedders: Callable[[str], TextEmbedderLike] = text_embedder_for,
        image_embedders: Callable[[str], ImageEncoder] = image_embedder_for,
    ) -> Index:
        """Open what is served at `uri`, or the release before where that is damaged.

        Raises:
            IndexNotReadyError: nothing is served there yet, or both releases are damaged.
            ArtifactError: the release's embedding model cannot be loaded.
        """
        connection = connect_existing(str(uri))
        release = serving_release(connection)
        try:
            snapshot = open_release(connection, release, text_embedders, image_embedders)
        except IndexNotReadyError as error:
            previous = read_releases(connection).get(PREVIOUS)
            if previous is None:
                raise
            snapshot = open_release(connection, previous, text_embedders, image_embedders)
            logger.warning(
                "%s; searching release %d, the one before, until a build has mended it", error.message, previous.number
            )
        return cls(connection, snapshot, text_embedders, image_embedders, uri=str(uri))

    @classmethod
    def at(
        cls,
        uri: str | Path,
        wanted: IndexVersion,
        text_embedders: Callable[[str], TextEmbedderLike] = text_embedder_for,
        image_embedders: Callable[[str], ImageEncoder] = image_embedder_for,
    ) -> Index:
        """Open one release of those that are kept at `uri`.

        Raises:
            IndexNotReadyError: it is not kept, or is damaged.
            ArtifactError: its embedding model cannot be loaded.
        """
        connection = connect_existing(str(uri))
        snapshot = open_release(connection, kept_release(connection, wanted), text_embedders, image_embedders)
        return cls(connection, snapshot, text_embedders, image_embedders, uri=str(uri))

    @property
    def version(self) -> int:
        """Number of the release that searches use."""
        return self._snapshot.release.number

    @property
    def release(self) -> Release:
        return self._snapshot.release

    @property
    def is_remote(self) -> bool:
        """Whether it lies in an object store, which may be away while the process lives."""
        return is_remote(self._uri)

    def probe(self) -> None:
        """Ask the store of the index for something small.

        Raises:
            IndexUnavailableError: it does not answer, or refuses.
        """
        read_releases(self._connection)

    def refresh(self) -> bool:
        """Move to the release that is served now; takes a millisecond or two when it is still the same.

        Returns True when the reader moved. Searches under way end on the old release.
        """
        with self._refreshing:
            self._connection = present(self._connection, self._uri)
            release = serving_release(self._connection)
            moved = release != self._snapshot.release
            if moved:
                self._snapshot = open_release(self._connection, release, self._text_embedders, self._image_embedders)
            return moved

    def search_knowledge(self, query: str, k: int = 5, filters: Filters | None = None) -> list[Passage]:
        """The `k` best chunks, best first.

        Args:
            filters: wanted values by field (`topic`, `season`, `occasion`, `garment`); several values mean any of them.
                Pages that hold for `all` seasons, occasions or garments always pass that field.

        Raises:
            InvalidRequestError: an empty or overlong query, an unknown filter field or value.
            ValueError: `k` is below 1.
        """
        snapshot = self._snapshot
        return find_passages(
            snapshot.knowledge, snapshot.text_embedder, snapshot.release.search, query, k, filters, snapshot.passages
        )

    def search_knowledge_together(self, queries: Sequence[tuple[str, int]]) -> list[list[Passage]]:
        """What `search_knowledge` finds for each query and its `k`; all are embedded at once.

        Raises:
            as `search_knowledge`, for any of them.
        """
        snapshot = self._snapshot
        checked = [(checked_query(query, k), k) for query, k in queries]
        vectors = snapshot.text_embedder.encode([query for query, _ in checked])
        return [
            _passages(snapshot.knowledge, snapshot.release.search, query, vector, k, None, snapshot.passages)
            for (query, k), vector in zip(checked, vectors, strict=True)
        ]

    def catalog(self) -> ReleasedCatalog:
        """The catalog of the release that searches use now; it stays at that release when the reader moves on."""
        snapshot = self._snapshot
        return ReleasedCatalog(snapshot.catalog, snapshot.release)

    def rank_sections(self, queries: Sequence[str]) -> list[list[Section]]:
        """Where the best chunks for each query are from, best first: as many as each search gives to the fusion."""
        snapshot = self._snapshot
        search = snapshot.release.search
        rankings = []
        for query, vector in zip(queries, snapshot.text_embedder.encode(queries), strict=True):
            rows = hybrid_rows(snapshot.knowledge, query, vector, search, search.candidates, Section._fields, None)
            rankings.append([Section(slug=row["slug"], heading=row["heading"]) for row in rows])
        return rankings

    def search_catalog(self, query: str, k: int = 10, category: Category | str | None = None) -> list[CatalogHit]:
        """The `k` items that fit a text best, best first, of one category or of all.

        Raises:
            InvalidRequestError: an empty or overlong query, or an unknown category.
            ValueError: `k` is below 1.
        """
        snapshot = self._snapshot
        where = category_condition(category)
        query = checked_query(query, k)
        vector = snapshot.text_embedder.encode([query])[0]
        rows = hybrid_rows(snapshot.catalog, query, vector, snapshot.release.search, k, _ITEM_COLUMNS, where)
        return [_hit({name: row[name] for name in (*_ITEM_COLUMNS, "relevance")}) for row in rows]

    def similar_items(
        self, image: Image.Image, k: int = 10, category: Category | str | None = None
    ) -> list[CatalogHit]:
        """The `k` items that look most like a picture; `relevance` is the cosine similarity in [-1, 1].

        Raises:
            InvalidRequestError: an unknown category.
            ValueError: `k` is below 1.
        """
        snapshot = self._snapshot
        where = category_condition(category)
        check_count(k)
        vector = snapshot.image_embedder.encode([image])[0]
        search = snapshot.catalog.search(vector, vector_column_name=IMAGE_VECTOR).distance_type("cosine").limit(k)
        if where is not None:
            search = search.where(where)
        rows = rows_of(search.select([*_ITEM_COLUMNS, "_distance"])).to_pylist()
        return [_hit(row | {"relevance": 1.0 - row.pop("_distance")}) for row in rows]


def find_passages(
    knowledge: Table,
    embedder: TextEmbedderLike,
    search: SearchSettings,
    query: str,
    k: int,
    filters: Filters | None = None,
    loaded: LoadedRows | None = None,
) -> list[Passage]:
    """The `k` best chunks of a knowledge table; see `Index.search_knowledge`.

    Args:
        loaded: the table in memory.
    """
    query = checked_query(query, k)
    where = facet_condition(filters or {})
    return _passages(knowledge, search, query, embedder.encode([query])[0], k, where, loaded)


def _passages(
    knowledge: Table,
    search: SearchSettings,
    query: str,
    vector: np.ndarray,
    k: int,
    where: Expr | None,
    loaded: LoadedRows | None,
) -> list[Passage]:
    rows = hybrid_rows(knowledge, query, vector, search, k, _PASSAGE_COLUMNS, where, loaded)
    return [Passage(**row) for row in rows]


def _hit(row: Mapping[str, Any]) -> CatalogHit:
    return CatalogHit.model_validate(dict(row) | {"attributes": json.loads(row["attributes"])})
