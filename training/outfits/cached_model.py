"""The served model on a data set: each garment is encoded once, however many questions name it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, count

import numpy as np

from aura.prepared_rows import ItemRow
from aura.taxonomy import Category
from inference.outfits.model import EncodedItems, OutfitModel
from training.outfits.data import as_served


class CachedOutfitModel:
    """Answers about garments by their ids; see `training.outfits.metrics.EvaluatedModel`.

    Images are opened to be encoded and closed again: of a garment only what is encoded is kept.

    Args:
        titles: whether garments are shown with their titles.
    """

    def __init__(self, model: OutfitModel, rows: Mapping[str, ItemRow], *, titles: bool = True) -> None:
        self._model, self._rows, self._titles = model, rows, titles
        self._encoded = model.encode([])
        self._index: dict[str, int] = {}

    def score(self, outfits: Sequence[Sequence[str]]) -> np.ndarray:
        indices = self._indices(outfits)
        return np.asarray(self._model.score_encoded(self._encoded, indices))

    def evidence(self, outfits: Sequence[Sequence[str]]) -> np.ndarray:
        """float64 `(B, 3)`: see `OutfitModel.evidence`."""
        indices = self._indices(outfits)
        return self._model.evidence(self._encoded, indices)[0].double().cpu().numpy()

    def queries(self, contexts: Sequence[Sequence[str]], targets: Sequence[Category]) -> np.ndarray:
        indices = self._indices(contexts)
        return self._model.queries_encoded(self._encoded, indices, targets)

    def embed(self, items: Sequence[str]) -> np.ndarray:
        (indices,) = self._indices([items])
        return self._model.embed_encoded(self._encoded.take(indices))

    def _indices(self, outfits: Sequence[Sequence[str]]) -> list[list[int]]:
        """Outfits as rows of what is encoded, once the garments that are new are, too."""
        new = [name for name in dict.fromkeys(chain.from_iterable(outfits)) if name not in self._index]
        if new:
            encoded = self._model.encode(as_served(self._rows[name], titles=self._titles) for name in new)
            self._encoded = EncodedItems.concatenate([self._encoded, encoded])
            self._index.update(zip(new, count(len(self._index))))
        return [[self._index[name] for name in outfit] for outfit in outfits]
