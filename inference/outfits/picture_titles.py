"""A title for a garment that has none, from its picture: `Navy shoes`, as garments of imported photos are called.

What a detector cuts out of a photo has no title, and neither have most garments of a wardrobe.
"""

from __future__ import annotations

from dataclasses import replace

from aura.pictures import upright_rgb
from aura.taxonomy import Category
from inference.colours import Colours
from inference.garment_colours import garment_colours
from inference.outfits.items import Item


def titled(item: Item) -> Item:
    """The item itself when it has a title or lacks a picture; else a copy with the title that its picture gives."""
    if item.title.strip() or item.image is None:
        return item
    title = title_of(item.category, garment_colours(upright_rgb(item.image)))
    return replace(item, title=title, title_from_picture=True)


def title_of(category: Category, colours: Colours) -> str:
    """What a garment of a category and of these colours is called."""
    return f"{colours.text} {category.garment}".capitalize()
