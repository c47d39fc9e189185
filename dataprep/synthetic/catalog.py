"""Descriptions of catalog articles, in a shop's words: what it is made of, when and where to wear it, how to care for it."""

from __future__ import annotations

import random

from aura.prepared_rows import CatalogRow
from dataprep.synthetic.shop import Product
from dataprep.synthetic.wardrobe import ALL_SEASON

_OPENINGS = {
    "casual": ("An easy piece for every day", "Made for slow mornings and long walks", "The one you reach for first"),
    "smart": (
        "Clean lines and a sharp finish",
        "A polished piece for the working week",
        "Quietly precise, never stiff",
    ),
    "sporty": ("Light on the body and quick to move", "Built for effort, comfortable at rest", "Ready when you are"),
    "elegant": (
        "Made for evenings that matter",
        "A graceful piece with a soft fall of light",
        "Dressy without trying hard",
    ),
    "bohemian": (
        "Free in spirit and rich in texture",
        "Made for bare feet and late sun",
        "A relaxed piece with a hand-made feel",
    ),
}
_PATTERN_PHRASES = {
    "solid": ("in plain {colour}", "in one calm shade of {colour}", "in solid {colour}"),
    "striped": ("in {colour} with {second} stripes",),
    "pinstriped": ("in {colour} with a fine {second} pinstripe",),
    "checked": ("in a {colour} and {second} check",),
    "gingham": ("in {colour} and {second} gingham",),
    "dotted": ("in {colour} with {second} polka dots",),
    "floral": ("in {colour}, scattered with {second} flowers",),
    "zigzag": ("in {colour} with a {second} zigzag",),
    "colour-block": ("in blocks of {colour} and {second}",),
    "herringbone": ("in {colour} herringbone",),
}
_SEASON_PHRASES = {
    "spring": ("It layers well on cool spring mornings", "A good companion from March to June"),
    "summer": ("It stays cool on hot summer days", "Made for the warmest weeks of summer"),
    "autumn": ("It comes into its own in autumn", "Right for crisp autumn days"),
    "winter": ("It keeps you warm in deep winter", "Warm enough for the coldest winter days"),
    ALL_SEASON: ("It works all year round", "Wear it in any season"),
}
_OCCASION_PHRASES = {
    "weekend": "at weekends",
    "travel": "on the road",
    "office": "at the office",
    "dinner": "for dinner out",
    "gym": "at the gym",
    "hiking": "on the trail",
    "party": "at a party",
    "wedding": "at a wedding",
    "festival": "at a festival",
    "holiday": "on holiday",
}


def describe(product: Product, rng: random.Random) -> str:
    """Two sentences about a product: look and fabric, then season and occasion."""
    pattern = rng.choice(_PATTERN_PHRASES[product.pattern]).format(colour=product.colour, second=product.second)
    garment = product.garment.replace("-", " ") if product.garment != "t-shirt" else "t-shirt"
    cloth = f"{product.fabric} {garment}"
    first = rng.choice(
        (
            f"{rng.choice(_OPENINGS[product.style])}: {_article(cloth, product)}{cloth} {pattern}.",
            f"{rng.choice(_OPENINGS[product.style])}, cut from {product.fabric} {pattern}."
            if product.garment not in ("necklace", "earrings", "bracelet", "watch", "sunglasses")
            else f"{rng.choice(_OPENINGS[product.style])}: {cloth} {pattern}.",
        )
    )
    season, occasion = rng.choice(_SEASON_PHRASES[product.season]), _OCCASION_PHRASES[product.occasion]
    second = rng.choice((f"{season}, and it looks right {occasion}.", f"{season}; most often seen {occasion}."))
    return f"{first} {second}"


_PLURALS = frozenset(
    {"trousers", "jeans", "leggings", "joggers", "shorts", "sneakers", "boots", "heels", "loafers", "sandals"}
    | {"sunglasses", "earrings", "gloves", "tights", "socks"}
)


def _article(cloth: str, product: Product) -> str:
    if product.garment in _PLURALS:
        return ""
    return "an " if cloth[0] in "aeiou" else "a "


def catalog_row(product: Product, seed: int) -> CatalogRow:
    """A product as an item of the catalog."""
    return CatalogRow(
        item_id=product.item_id, category=product.category, title=product.title,
        description=describe(product, random.Random(f"{seed}/description/{product.item_id}")),
        attributes=product.attributes, image=f"images/{product.item_id}.jpg",
    )  # fmt: skip
