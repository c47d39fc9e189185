"""Categories that an outfit lacks: recommended when the caller names none."""

from __future__ import annotations

from collections.abc import Collection

from aura.taxonomy import Category

_CORE = (Category.TOPS, Category.BOTTOMS, Category.SHOES, Category.BAGS)
"""Categories of a complete outfit."""


def missing_categories(worn: Collection[Category]) -> list[Category]:
    """Categories of a complete outfit that nothing worn belongs to; bags when nothing is missing."""
    missing = [category for category in _CORE if category not in worn and not _covered(category, worn)]
    return missing or [Category.BAGS]


def _covered(category: Category, worn: Collection[Category]) -> bool:
    """A dress needs neither a top nor trousers."""
    return category in (Category.TOPS, Category.BOTTOMS) and Category.ALL_BODY in worn
