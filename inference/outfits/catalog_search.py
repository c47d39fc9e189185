"""The catalog as the outfit model sees it: items with images, and their embeddings, computed once per model."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from aura.lineage import value_hash
from aura.paths import cache_dir
from aura.prepared_rows import CatalogRow
from aura.taxonomy import Category
from inference.outfits.items import Item, item_of
from inference.outfits.model import OutfitModel
from inference.retrieval.released_catalog import ReleasedCatalog

_BATCH = 64
KEPT = 4
"""Files that the cache keeps, the newest: a release and the one before, of two champions or profiles."""
logger = logging.getLogger(__name__)


class CatalogSearch:
    """Items of one release by id and by category, with embeddings float32 (N, D)."""

    def __init__(
        self, catalog: ReleasedCatalog, model: OutfitModel, model_hash: str, before: CatalogSearch | None = None
    ) -> None:
        """Embed the catalog, or take the embeddings from the cache.

        Args:
            model_hash: content hash of the model's artifact. Not its version or folder: every Bento has its champion in the
                same folder, and all share one cache.
            before: another release, embedded by the same model; only items that it lacks are embedded.

        Raises:
            DataError: a picture is broken.
        """
        self.catalog = catalog
        self._rows_of = {
            category: np.array(
                [row for row, record in enumerate(catalog.rows) if record.category == category], dtype=int
            )
            for category in Category
        }
        self.vectors = self._embed(model, model_hash, before)

    def __len__(self) -> int:
        return len(self.catalog.rows)

    @property
    def version(self) -> int:
        """Number of the release."""
        return self.catalog.version

    def nearest(
        self, query: np.ndarray, category: Category, k: int, without: Sequence[str]
    ) -> list[tuple[Item, float]]:
        """The k items of a category with the highest cosine similarity to a query vector (D,), best first."""
        rows = self._rows_of[category]
        if not len(rows):
            return []
        similarity = self.vectors[rows] @ query
        best = [int(index) for index in np.argsort(-similarity, kind="stable")]
        chosen = [index for index in best if self.catalog.rows[rows[index]].item_id not in without][:k]
        items = self._items(self.catalog, [self.catalog.rows[rows[index]] for index in chosen])
        return [(item, float(similarity[index])) for item, index in zip(items, chosen, strict=True)]

    def _embed(self, model: OutfitModel, model_hash: str, before: CatalogSearch | None) -> np.ndarray:
        catalog = self.catalog
        file = cache_dir() / "catalog-embeddings" / f"{value_hash([model_hash, catalog.hashes])[:32]}.npy"
        if (known := _read(file)) is not None:
            return known
        vectors = {} if before is None else dict(zip(before.catalog.hashes, before.vectors, strict=True))
        missing = [row for row, content in enumerate(catalog.hashes) if content not in vectors]
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            embedded = model.embed_items(self._items(catalog, [catalog.rows[row] for row in batch]))
            vectors |= {catalog.hashes[row]: vector for row, vector in zip(batch, embedded, strict=True)}
        found = np.array([vectors[content] for content in catalog.hashes], dtype=np.float32)
        _write(file, found)
        return found

    @staticmethod
    def _items(catalog: ReleasedCatalog, rows: Sequence[CatalogRow]) -> list[Item]:
        return [item_of(row, picture) for row, picture in zip(rows, catalog.pictures(rows), strict=True)]


def _read(file: Path) -> np.ndarray | None:
    """Embeddings from the cache; None when they are missing or damaged, so that they are made again."""
    try:
        return np.asarray(np.load(file)) if file.is_file() else None
    except (OSError, ValueError, EOFError) as error:
        logger.warning("made again: the embeddings of the catalog in %s are damaged: %s", file, error)
        return None


def _write(file: Path, found: np.ndarray) -> None:
    """Keep embeddings for the next start; without that they are made again."""
    temporary = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp.npy")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(temporary, found)
        temporary.replace(file)
    except OSError as error:
        logger.warning("the embeddings of the catalog are not kept for the next start: %s", error)
    with suppress(OSError):  # another process may be removing them too
        # Among them the unfinished ones of processes that were killed; one that is being written is new.
        for old in sorted(file.parent.glob("*.npy"), key=lambda kept: kept.stat().st_mtime, reverse=True)[KEPT:]:
            old.unlink(missing_ok=True)
