"""The catalog as the outfit model sees it: items with the vectors that it has made of pictures and texts, once per model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import islice

import numpy as np

from aura.taxonomy import Category
from inference.colours import DominantColour
from inference.garment_colours import measured_colours
from inference.outfits.catalog_vectors import CatalogVectors
from inference.outfits.items import Item, item_of
from inference.outfits.model import OutfitModel
from inference.outfits.wishes import CatalogWords, price
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
            before: another release. Colours of its pictures are taken over; where the same model has encoded it, vectors too.

        Raises:
            DataError: a picture is broken.
        """
        self.catalog = catalog
        self._model_hash = model_hash
        same_model = before is not None and before._model_hash == model_hash
        known = dict(zip(before.catalog.hashes, before.vectors, strict=True)) if before and same_model else {}
        self.vectors: np.ndarray = CatalogVectors(catalog, model_hash).made(model, known)
        self._items = [item_of(row, vector=vector) for row, vector in zip(catalog.rows, self.vectors, strict=True)]
        self._row_of = {row.item_id: place for place, row in enumerate(catalog.rows)}
        self._hash_of = dict(zip(self._row_of, catalog.hashes, strict=True))
        measured: dict[str, DominantColour] = {} if before is None else before._colours
        self._colours: dict[str, DominantColour] = {
            content: measured[content] for content in catalog.hashes if content in measured
        }
        """By the content hash of an item, which covers its picture."""
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
        new = [row for item_id, row in rows.items() if self._hash_of[item_id] not in self._colours]
        for row, picture in zip(new, self.catalog.pictures(new), strict=True):
            self._colours[self._hash_of[row.item_id]] = measured_colours(picture)[0]
        return [self._colours[self._hash_of[item.item_id]] for item in items]
