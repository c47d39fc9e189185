"""The catalog as the outfit model sees it: items with the vectors that it has made of pictures and texts, once per model."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np

from aura.lineage import value_hash
from aura.paths import cache_dir
from aura.taxonomy import Category
from inference.colours import DominantColour
from inference.garment_colours import measured_colours
from inference.outfits.items import Item, item_of
from inference.outfits.model import OutfitModel
from inference.outfits.wishes import CatalogWords, price
from inference.retrieval.released_catalog import ReleasedCatalog

_BATCH = 64
KEPT = 4
"""Files that the cache keeps, the newest: a release and the one before, of two champions or profiles."""
logger = logging.getLogger(__name__)


class CatalogSearch:
    """Items of one release by id and by category; each carries its vector, so that no answer reads a picture.

    Attributes:
        vectors: float32 (N, D), `Item.vector` of each item.
    """

    def __init__(
        self, catalog: ReleasedCatalog, model: OutfitModel, model_hash: str, before: CatalogSearch | None = None
    ) -> None:
        """Encode the catalog, or take the vectors from the cache.

        Args:
            model_hash: content hash of the model's artifact. Not its version or folder: every Bento has its champion in the
                same folder, and all share one cache.
            before: another release, encoded by the same model; only items that it lacks are encoded.

        Raises:
            DataError: a picture is broken.
        """
        self.catalog = catalog
        self.vectors = self._encode(model, model_hash, before)
        self._items = [item_of(row, vector=vector) for row, vector in zip(catalog.rows, self.vectors, strict=True)]
        self._row_of = {row.item_id: place for place, row in enumerate(catalog.rows)}
        self._colours: dict[str, DominantColour] = {}
        embedded = model.embed_vectors(self.vectors)
        rows = {
            category: np.array([place for place, row in enumerate(catalog.rows) if row.category == category], dtype=int)
            for category in Category
        }
        self._of_category = {category: (places, embedded[places]) for category, places in rows.items()}

    def __len__(self) -> int:
        return len(self.catalog.rows)

    @property
    def version(self) -> int:
        """Number of the release."""
        return self.catalog.version

    def item(self, item_id: str) -> Item | None:
        """The item of this id, if the release has it."""
        place = self._row_of.get(item_id)
        return None if place is None else self._items[place]

    def nearest(
        self, query: np.ndarray, category: Category, k: int, wanted: Callable[[Item], bool]
    ) -> list[tuple[Item, float]]:
        """The k wanted items of a category with the highest cosine similarity to a query vector (E,), best first."""
        places, embedded = self._of_category[category]
        similarity = embedded @ query
        ranked = ((self._items[places[row]], float(similarity[row])) for row in np.argsort(-similarity, kind="stable"))
        return list(islice(((item, score) for item, score in ranked if wanted(item)), k))

    def cost(self, item: Item) -> float:
        """Its price; 0 where it has none."""
        return price(item) or 0.0

    @cached_property
    def words(self) -> CatalogWords:
        """What the items say of themselves."""
        return CatalogWords.of(self._items)

    def colours(self, items: Sequence[Item]) -> list[DominantColour]:
        """The main colour of each of these items of the catalog, measured in its picture, once.

        Raises:
            DataError: a picture is broken.
            IndexNotReadyError: a file of the index is missing or damaged.
        """
        rows = {item.item_id: self.catalog.rows[self._row_of[item.item_id]] for item in items}
        new = [row for item_id, row in rows.items() if item_id not in self._colours]
        for row, picture in zip(new, self.catalog.pictures(new), strict=True):
            self._colours[row.item_id] = measured_colours(picture)[0]
        return [self._colours[item.item_id] for item in items]

    def _encode(self, model: OutfitModel, model_hash: str, before: CatalogSearch | None) -> np.ndarray:
        catalog = self.catalog
        file = cache_dir() / "catalog-vectors" / f"{value_hash([model_hash, catalog.hashes])[:32]}.npy"
        if (known := _read(file)) is not None:
            return known
        vectors = {} if before is None else dict(zip(before.catalog.hashes, before.vectors, strict=True))
        missing = [row for row, content in enumerate(catalog.hashes) if content not in vectors]
        for start in range(0, len(missing), _BATCH):
            batch = missing[start : start + _BATCH]
            rows = [catalog.rows[row] for row in batch]
            items = [item_of(row, picture) for row, picture in zip(rows, catalog.pictures(rows), strict=True)]
            made = model.item_vectors(items)
            vectors |= {catalog.hashes[row]: vector for row, vector in zip(batch, made, strict=True)}
        found = np.array([vectors[content] for content in catalog.hashes], dtype=np.float32)
        _write(file, found)
        return found


def _read(file: Path) -> np.ndarray | None:
    """Vectors from the cache; None when they are missing or damaged, so that they are made again."""
    try:
        return np.asarray(np.load(file)) if file.is_file() else None
    except (OSError, ValueError, EOFError) as error:
        logger.warning("made again: the vectors of the catalog in %s are damaged: %s", file, error)
        return None


def _write(file: Path, found: np.ndarray) -> None:
    """Keep vectors for the next start; without that they are made again."""
    temporary = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}.tmp.npy")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(temporary, found)
        temporary.replace(file)
    except OSError as error:
        logger.warning("the vectors of the catalog are not kept for the next start: %s", error)
    with suppress(OSError):  # another process may be removing them too
        # Among them the unfinished ones of processes that were killed; one that is being written is new.
        for old in sorted(file.parent.glob("*.npy"), key=lambda kept: kept.stat().st_mtime, reverse=True)[KEPT:]:
            old.unlink(missing_ok=True)
