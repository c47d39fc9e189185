"""Garments as the outfit model reads them: category and title as text, beside the picture."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from aura.prepared_rows import CatalogRow
from aura.taxonomy import Category

MAX_OUTFIT_ITEMS = 12
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")


@dataclass(frozen=True, eq=False)
class Item:
    """A garment of a catalog, a wardrobe or a photo. Two items are equal when they are the same object.

    Attributes:
        item_id: the caller's id; the model does not read it.
        title: free text; empty when unknown (a garment found by the detector has none): see `inference.outfits.picture_titles`.
        attributes: for display; the model does not read them, because a photographed garment has none.
        image: any mode and size; None when there is no picture. Transparent pixels count as white.
        title_from_picture: the title is what the picture shows, and says no more than that.
        vector: float32 `(D,)`, what the model that is asked has made of the item before; then it reads no picture and no text.
    """

    item_id: str
    category: Category
    title: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    image: Image.Image | None = None
    title_from_picture: bool = False
    vector: np.ndarray | None = field(default=None, repr=False)

    @property
    def has_own_title(self) -> bool:
        return bool(self.title.strip()) and not self.title_from_picture


def item_of(row: CatalogRow, picture: Image.Image | None = None, vector: np.ndarray | None = None) -> Item:
    """An item of the catalog, with its picture or what a model has made of it."""
    return Item(
        item_id=row.item_id, category=row.category, title=row.title, attributes=row.attributes, image=picture, vector=vector,
    )  # fmt: skip


def item_text(item: Item) -> str:
    """Text for the text tower: category and title, or the category alone."""
    title = " ".join(item.title.split())
    return f"{category_text(item.category)}: {title}" if title else category_text(item.category)


def category_text(category: Category) -> str:
    """Text of a category without a garment; the target token reads only this."""
    return category.value.replace("-", " ")


def title_words(item: Item) -> frozenset[str]:
    """Distinct words of the title in lower case; a hyphen joins (`v-neck`)."""
    return frozenset(_WORD.findall(item.title.lower()))
