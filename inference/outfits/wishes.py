"""What a caller wants of garments besides that they go together: occasion, season, budget, and what must not come.

A garment that does not say what a wish asks for is not held against it: a wardrobe knows no seasons. A price is another matter:
where the catalog has prices, an item without one may cost anything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from aura.errors import InvalidRequestError
from aura.taxonomy import Category
from inference.outfits.items import Item

PRICE, OCCASION, SEASON = "price", "occasion", "season"
"""Attributes of a catalog item."""
_ANY_SEASON = "all-season"
_COLOURS = ("colour", "second_colour")


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """Limits on what is recommended.

    Attributes:
        budget: price of an item at most; of a whole outfit, of all its catalog items together.
        without_categories, without_colours, without_ids: what must not come; colours in words, ids of items or garments.
    """

    occasion: str = ""
    season: str = ""
    budget: float | None = None
    without_categories: tuple[Category, ...] = ()
    without_colours: tuple[str, ...] = ()
    without_ids: tuple[str, ...] = ()

    def misfit(self, item: Item) -> str | None:
        """Why an item is not wanted; None when it is. Its price is looked at by `affordable`."""
        if item.item_id in self.without_ids or item.category in self.without_categories:
            return "is excluded"
        if shown := [colour for colour in self.without_colours if _shows(item, colour)]:
            return f"is {shown[0]}, which is excluded"
        occasion, season = _said(item, OCCASION), _said(item, SEASON)
        if self.occasion and occasion and occasion != self.occasion.lower():
            return f"is for the occasion {occasion}, not {self.occasion}"
        if self.season and season and season not in (self.season.lower(), _ANY_SEASON):
            return f"is for the season {season}, not {self.season}"
        return None

    def affordable(self, item: Item, spent: float = 0.0) -> bool:
        """Whether a catalog item fits into what is left of the budget."""
        cost = price(item)
        return self.budget is None or (cost is not None and spent + cost <= self.budget)


@dataclass(frozen=True)
class CatalogWords:
    """What the items of a catalog say of themselves, so that a wish that none of them can meet is told apart from a rare one.

    Attributes:
        values: of the attributes that wishes name, in lower case.
    """

    values: dict[str, Collection[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Sequence[Item]) -> CatalogWords:
        return cls(
            {
                name: {_said(item, name) for item in items if _said(item, name)} - {_ANY_SEASON}
                for name in (OCCASION, SEASON)
            }
            | {PRICE: {"some"} if any(price(item) is not None for item in items) else ()}
        )

    def understood(self, wishes: Wishes) -> tuple[Wishes, list[str]]:
        """The wishes that can be met from this catalog, and a sentence per wish that was left out.

        Raises:
            InvalidRequestError: no item is for this occasion or season, though items say what they are for.
        """
        notes, used = [], wishes
        for name in (OCCASION, SEASON):
            wanted, known = str(getattr(wishes, name)), self.values.get(name, ())
            if wanted and not known:
                notes.append(f"the catalog does not say for which {name} its items are: {name} was not used")
            elif wanted and wanted.lower() not in known:
                raise InvalidRequestError(
                    f"no item of the catalog is for the {name} {wanted!r}", hint=f"it knows: {', '.join(sorted(known))}"
                )
        if wishes.budget is not None and not self.values.get(PRICE):
            notes.append("the catalog has no prices: budget was not used")
            used = replace(wishes, budget=None)
        return used, notes


def price(item: Item) -> float | None:
    """Price of a catalog item, in the catalog's currency; None when it has none."""
    found = re.search(r"\d+(?:\.\d+)?", item.attributes.get(PRICE, "").replace(",", ""))
    return float(found[0]) if found else None


def _said(item: Item, name: str) -> str:
    return item.attributes.get(name, "").strip().lower()


def _shows(item: Item, colour: str) -> bool:
    """Whether the item's colours, or its title, say this word."""
    said = " ".join([item.title, *(item.attributes.get(name, "") for name in _COLOURS)]).lower()
    return re.search(rf"\b{re.escape(colour.lower())}\b", said) is not None
