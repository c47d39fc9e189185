"""The catalog as the outfit model sees it: items with the vectors that it has made of pictures and texts, once per model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

import numpy as np

from aura.taxonomy import Category
from inference.outfits.catalog_vectors import CatalogVectors
from inference.outfits.items import Item, item_of
from inference.outfits.model import OutfitModel
from inference.retrieval.released_catalog import ReleasedCatalog


class CatalogSearch:
    """Items of one release by id and by category; each carries its vector, so that no answer reads a picture.

    Attributes:
        vectors: float32 (N, D), `Item.vector` of each item.
    """

    def __init__(
        self, catalog: ReleasedCatalog, model: OutfitModel, model_hash: str, before: CatalogSearch | None = None
    ) -> None:
        """Take the vectors that are kept, or encode the catalog.

        Args:
            model_hash: as for `CatalogVectors`.
            before: another release, encoded by the same model; only items that it lacks are encoded.

        Raises:
            DataError: a picture is broken.
        """
        self.catalog = catalog
        known = {} if before is None else dict(zip(before.catalog.hashes, before.vectors, strict=True))
        self.vectors: np.ndarray = CatalogVectors(catalog, model_hash).made(model, known)
        self._items = [item_of(row, vector=vector) for row, vector in zip(catalog.rows, self.vectors, strict=True)]
        self._row_of = {row.item_id: place for place, row in enumerate(catalog.rows)}
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
        self, query: np.ndarray, category: Category, k: int, without: Sequence[str]
    ) -> list[tuple[Item, float]]:
        """The k items of a category with the highest cosine similarity to a query vector (E,), best first."""
        places, embedded = self._of_category[category]
        similarity = embedded @ query
        ranked = ((self._items[places[row]], float(similarity[row])) for row in np.argsort(-similarity, kind="stable"))
        return list(islice(((item, score) for item, score in ranked if item.item_id not in without), k))
