"""One colour per category: of boxes on photos, in reports and in answers."""

from __future__ import annotations

from collections.abc import Mapping

from aura.taxonomy import CATEGORIES, Category

# Twelve hues that stay apart on photos and in print (Paul Tol's schemes, darkened where they were pale).
CATEGORY_COLOURS: Mapping[Category, str] = dict(
    zip(
        CATEGORIES,
        ("#0077bb", "#cc3311", "#009988", "#ee7733", "#33bbee", "#ee3377", "#997700", "#6699cc", "#aa4499", "#117733",
         "#882255", "#666633"),
        strict=True,
    )
)  # fmt: skip
"""sRGB value by category."""
