"""Whole outfits from some garments: a beam search over the places of an outfit, scored by the outfit model in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Protocol

import numpy as np

from aura.taxonomy import Category
from inference.outfits.items import Item
from inference.outfits.model import OutfitModel
from inference.outfits.outfit_rules import Slot, open_slots

_WIDTH = 12
"""Outfits that are kept after each place."""
_CANDIDATES = 10
"""Items per outfit, place and source that are tried: those nearest to what the model asks for."""

Wanted = Callable[[Item, float], bool]
"""Whether an item may be added to an outfit on whose items so much is spent already."""


class Candidates(Protocol):
    """Items that outfits are made of: a catalog, a wardrobe."""

    def nearest(
        self, query: np.ndarray, category: Category, k: int, wanted: Callable[[Item], bool]
    ) -> list[tuple[Item, float]]: ...

    def cost(self, item: Item) -> float: ...


class OwnItems:
    """Garments of a wardrobe, which cost nothing.

    Args:
        items: with their vectors.
    """

    def __init__(self, items: Sequence[Item], model: OutfitModel) -> None:
        self._items = items
        vectors = np.array([item.vector for item in items], dtype=np.float32)
        self._embedded = model.embed_vectors(vectors) if items else vectors

    def nearest(
        self, query: np.ndarray, category: Category, k: int, wanted: Callable[[Item], bool]
    ) -> list[tuple[Item, float]]:
        """As `CatalogSearch.nearest`."""
        found = [
            (item, float(vector @ query))
            for item, vector in zip(self._items, self._embedded, strict=True)
            if item.category == category and wanted(item)
        ]
        return sorted(found, key=lambda hit: -hit[1])[:k]

    def cost(self, item: Item) -> float:
        return 0.0


@dataclass(frozen=True)
class FoundOutfit:
    """An outfit.

    Attributes:
        items: those of the caller first.
        score: probability that they go together, 0 to 1.
        spent: price of what was added.
        lacks: categories that a whole outfit has and that no candidate was there for.
    """

    items: tuple[Item, ...]
    score: float
    spent: float = 0.0
    lacks: tuple[Category, ...] = ()


def whole_outfits(
    model: OutfitModel,
    worn: Sequence[Item],
    sources: Sequence[Candidates],
    *,
    wanted: Wanted,
    without: Sequence[Category],
    count: int,
) -> list[FoundOutfit]:
    """The best whole outfits with what is worn, the best first; those that lack something come last.

    Args:
        worn: with their vectors, one at least.
        without: categories of which nothing is added.
    """
    [start] = _scored(model, [FoundOutfit(tuple(worn), 0.0)])
    found: list[FoundOutfit] = []
    for slots in open_slots({item.category for item in worn}):
        beam = [start]
        for slot in slots:
            if slot.category not in without:
                beam = _filled(model, beam, slot, sources, wanted)
        found += beam
    ranked = sorted(found, key=lambda outfit: (len(outfit.lacks), -outfit.score))
    return _varied(ranked, len(worn), count)


def _filled(
    model: OutfitModel, beam: Sequence[FoundOutfit], slot: Slot, sources: Sequence[Candidates], wanted: Wanted
) -> list[FoundOutfit]:
    """The beam after one more place."""
    queries = model.queries([outfit.items for outfit in beam], [slot.category] * len(beam))
    extended = list(
        chain.from_iterable(
            _with_each(outfit, query, slot.category, sources, wanted)
            for outfit, query in zip(beam, queries, strict=True)
        )
    )
    if not extended:
        return [replace(outfit, lacks=(*outfit.lacks, slot.category)) for outfit in beam] if slot.required else [*beam]
    kept = [] if slot.required else beam
    ranked = sorted([*kept, *_scored(model, extended)], key=lambda outfit: -outfit.score)
    return _distinct(ranked)[:_WIDTH]


def _with_each(
    outfit: FoundOutfit, query: np.ndarray, category: Category, sources: Sequence[Candidates], wanted: Wanted
) -> list[FoundOutfit]:
    worn = {item.item_id for item in outfit.items}
    return [
        replace(outfit, items=(*outfit.items, item), spent=outfit.spent + source.cost(item))
        for source in sources
        for item, _ in source.nearest(
            query, category, _CANDIDATES, lambda item: item.item_id not in worn and wanted(item, outfit.spent)
        )
    ]


def _scored(model: OutfitModel, outfits: Sequence[FoundOutfit]) -> list[FoundOutfit]:
    scores = model.score([outfit.items for outfit in outfits])
    return [replace(outfit, score=score) for outfit, score in zip(outfits, scores, strict=True)]


def _distinct(ranked: Sequence[FoundOutfit]) -> list[FoundOutfit]:
    """Of outfits that are called alike the best: in a catalog of many black shoes, one pair is as good as another."""
    best: dict[tuple[str, ...], FoundOutfit] = {}
    for outfit in ranked:
        best.setdefault(tuple(_called(item) for item in outfit.items), outfit)
    return list(best.values())


def _called(item: Item) -> str:
    """What a customer reads; two items of one category and title look alike in a list."""
    return f"{item.category.value}: {item.title.strip().lower() or item.item_id}"


def _varied(ranked: Sequence[FoundOutfit], worn: int, count: int) -> list[FoundOutfit]:
    """The best that share at most half of what was added with a better one; then the others."""

    def added(outfit: FoundOutfit) -> set[str]:
        return {_called(item) for item in outfit.items[worn:]}

    chosen: list[FoundOutfit] = []
    for outfit in ranked:
        if all(2 * len(added(outfit) & added(other)) <= len(added(outfit)) for other in chosen):
            chosen.append(outfit)
    rest = [outfit for outfit in ranked if outfit not in chosen]
    return [*chosen, *rest][:count]
