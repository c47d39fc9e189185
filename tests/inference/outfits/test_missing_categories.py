"""What an outfit lacks."""

from __future__ import annotations

from aura.taxonomy import Category
from inference.outfits.missing_categories import missing_categories


def test_a_dress_needs_neither_top_nor_trousers() -> None:
    assert missing_categories({Category.ALL_BODY, Category.HATS}) == [Category.SHOES, Category.BAGS]
    assert missing_categories(set()) == [Category.TOPS, Category.BOTTOMS, Category.SHOES, Category.BAGS]
