"""Items that complete outfits: looked for in the catalog, put into the caller's own order, scored, explained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aura.taxonomy import Category
from bentos.outfit_recommendation.loaded_outfits import LoadedOutfits, encoded, reason_messages
from bentos.outfit_recommendation.messages import Reason, RecommendedItem
from inference.outfits.preferences import NO_SHIFT, Preferences, Shift
from inference.outfits.reasons import reasons_for
from inference.outfits.wishes import Wishes, price

if TYPE_CHECKING:  # the service never needs torch
    import numpy as np

    from inference.outfits.items import Item
    from inference.outfits.model import OutfitModel

_RERANKED = 4
"""Of the nearest items of a category, how many times as many as are wanted are put into the caller's own order."""


@dataclass(frozen=True)
class Hit:
    """An item of the catalog that was found for an outfit, and what the caller's preferences move it by."""

    item: Item
    similarity: float
    shift: Shift = NO_SHIFT


@dataclass(frozen=True)
class Wish:
    """What completes an outfit, and where it is looked for."""

    outfit: list[Item]
    targets: Sequence[Category]
    k: int
    served: LoadedOutfits
    wishes: Wishes
    notes: list[str]
    preferences: Preferences | None

    def nearest(self, query: np.ndarray, target: Category, outfit: Sequence[Item]) -> list[Hit]:
        """The k best items of a category that the caller wants and does not wear."""
        assert self.served.search is not None
        worn = {item.item_id for item in outfit}
        found = self.served.search.nearest(
            query, target, self.k * (_RERANKED if self.preferences else 1),
            lambda item: item.item_id not in worn and not self.wishes.misfit(item) and self.wishes.affordable(item),
        )  # fmt: skip
        if self.preferences is None:
            return [Hit(item, similarity) for item, similarity in found]
        shifts = [self.preferences.shift(seen) for seen in self.served.seen([item for item, _ in found])]
        hits = [Hit(item, similarity, shift) for (item, similarity), shift in zip(found, shifts, strict=True)]
        return sorted(hits, key=lambda hit: -(hit.similarity + hit.shift.amount))[: self.k]


def completed(model: OutfitModel, wishes: Sequence[Wish]) -> list[dict[Category, list[RecommendedItem]]]:
    """Of each wish the best items per target: one question to the model for all targets, one for all candidates."""
    outfits = encoded(model, [wish.outfit for wish in wishes])
    asked = [(wish, outfit, target) for wish, outfit in zip(wishes, outfits, strict=True) for target in wish.targets]
    queries = model.queries([outfit for _, outfit, _ in asked], [target for _, _, target in asked])
    hits = [wish.nearest(query, target, outfit) for (wish, outfit, target), query in zip(asked, queries, strict=True)]
    candidates = [[*outfit, hit.item] for (_, outfit, _), found in zip(asked, hits, strict=True) for hit in found]
    scores = iter(model.score(candidates))
    best = iter(
        [
            [
                _recommended(hit, next(scores), reasons)
                for hit, reasons in zip(found, _reasons(*question, found), strict=True)
            ]
            for question, found in zip(asked, hits, strict=True)
        ]
    )
    return [{target: next(best) for target in wish.targets} for wish in wishes]


def _reasons(wish: Wish, outfit: Sequence[Item], _target: Category, found: Sequence[Hit]) -> list[list[Reason]]:
    """Why each item that was found goes with the outfit, and what it is moved by."""
    worn = wish.served.seen(outfit)
    candidates = wish.served.seen([hit.item for hit in found])
    own = [[hit.shift.reason] if hit.shift.reason else [] for hit in found]
    return [
        reason_messages([*reasons_for(item, worn, wish.served.model.strongest_words), *moved])
        for item, moved in zip(candidates, own, strict=True)
    ]


def _recommended(hit: Hit, score: float, reasons: list[Reason]) -> RecommendedItem:
    item = hit.item
    return RecommendedItem(
        item_id=item.item_id, category=item.category, title=item.title, similarity=hit.similarity, outfit_score=score,
        shift=hit.shift.amount, price=price(item), reasons=reasons,
    )  # fmt: skip
