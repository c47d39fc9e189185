"""The catalog as the outfit model sees it: items with images, and their embeddings, computed once per model."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aura.artifact import content_hash
from aura.errors import IndexNotReadyError
from aura.lineage import value_hash
from aura.paths import cache_dir
from aura.prepared_rows import CatalogRow
from aura.taxonomy import Category
from inference.outfits.items import Item
from inference.outfits.model import OutfitModel
from inference.retrieval.catalog import open_picture, read_catalog

_BATCH = 64
logger = logging.getLogger(__name__)


class CatalogSearch:
    """Items by id and by category, with embeddings float32 (N, D)."""

    def __init__(self, folder: Path, model: OutfitModel, model_hash: str) -> None:
        """Read the catalog and embed it, or take the embeddings from the cache.

        Args:
            model_hash: content hash of the model's artifact. Not its version or folder: every Bento has its champion in the
                same folder, and all share one cache.

        Raises:
            IndexNotReadyError: there is no catalog.
        """
        if not (folder / "catalog.jsonl").is_file():
            raise IndexNotReadyError(f"no catalog in {folder}", hint="run `aura nightly`, which prepares it")
        self._folder = folder
        self._records = read_catalog(folder)
        self._row = {record.item_id: row for row, record in enumerate(self._records)}
        self._rows_of = {
            category: np.array(
                [row for row, record in enumerate(self._records) if record.category == category], dtype=int
            )
            for category in Category
        }
        self.vectors = self._embed(model, model_hash)

    def __len__(self) -> int:
        return len(self._records)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._row

    def item(self, item_id: str) -> Item:
        """One item with its image; `KeyError` when the catalog has no such item."""
        return self._as_item(self._records[self._row[item_id]])

    def nearest(
        self, query: np.ndarray, category: Category, k: int, without: Sequence[str]
    ) -> list[tuple[Item, float]]:
        """The k items of a category with the highest cosine similarity to a query vector (D,), best first."""
        rows = self._rows_of[category]
        similarity = self.vectors[rows] @ query
        best = [int(index) for index in np.argsort(-similarity, kind="stable")]
        chosen = [index for index in best if self._records[rows[index]].item_id not in without][:k]
        return [(self._as_item(self._records[rows[index]]), float(similarity[index])) for index in chosen]

    def _embed(self, model: OutfitModel, model_hash: str) -> np.ndarray:
        key = value_hash([model_hash, content_hash(self._folder)])
        file = cache_dir() / "catalog-embeddings" / f"{key[:32]}.npy"
        if (known := _read(file)) is not None:
            return known
        batches = [
            model.embed_items([self._as_item(record) for record in self._records[start : start + _BATCH]])
            for start in range(0, len(self._records), _BATCH)
        ]
        vectors = np.concatenate(batches).astype(np.float32)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.tmp.npy")
        np.save(temporary, vectors)
        temporary.replace(file)
        return vectors

    def _as_item(self, record: CatalogRow) -> Item:
        return Item(
            item_id=record.item_id, category=record.category, title=record.title, attributes=record.attributes,
            image=open_picture(self._folder / record.image),
        )  # fmt: skip


def _read(file: Path) -> np.ndarray | None:
    """Embeddings from the cache; None when they are missing or damaged, so that they are made again."""
    try:
        return np.asarray(np.load(file)) if file.is_file() else None
    except (OSError, ValueError, EOFError) as error:
        logger.warning("made again: the embeddings of the catalog in %s are damaged: %s", file, error)
        return None
