"""What a whole outfit is made of: the rules as data."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from aura.taxonomy import Category


@dataclass(frozen=True)
class Slot:
    """A place in an outfit, for one garment of a category.

    Attributes:
        required: an outfit is not whole without it; otherwise it is filled when that raises the score.
    """

    category: Category
    required: bool = True


_FEET = Slot(Category.SHOES)
_BESIDES = (Slot(Category.OUTERWEAR, required=False), Slot(Category.BAGS, required=False))
OUTFITS: tuple[tuple[Slot, ...], ...] = (
    (Slot(Category.TOPS), Slot(Category.BOTTOMS), _FEET, *_BESIDES),
    (Slot(Category.ALL_BODY), _FEET, *_BESIDES),
)
"""The kinds of outfits: in separates, or in one piece. No category is worn twice but by what the caller gives."""
_EXCLUDING = {Category.ALL_BODY: (Category.TOPS, Category.BOTTOMS)}


def open_slots(worn: Collection[Category]) -> list[tuple[Slot, ...]]:
    """Of each kind of outfit that these garments may belong to, the places that are free.

    A caller who wears both a dress and a top has both; then nothing of either is added.
    """
    in_one_piece = Category.ALL_BODY in worn
    in_separates = any(category in worn for category in _EXCLUDING[Category.ALL_BODY])
    kinds = [
        kind
        for kind in OUTFITS
        if not (in_one_piece or in_separates) or (kind[0].category == Category.ALL_BODY) == in_one_piece
    ]
    return [tuple(slot for slot in kind if slot.category not in worn) for kind in kinds]
