"""Pictures with boxes: people who wear an outfit, garments laid out on a table, clothes on a rail, single product shots.

A scene is a pile of pieces, the lowest first. Boxes are measured from the pixels of each piece that no later piece covers,
so they are tight, inside the picture, and honest about what a detector can see.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from aura.taxonomy import Category
from dataprep.synthetic.backgrounds import lying_ground, product_ground
from dataprep.synthetic.drawing import cast_shadow, flat_layer
from dataprep.synthetic.pencil import Layer
from dataprep.synthetic.shop import Product

SCENE_SUPERSAMPLE = 2
_COVERS = 110
"""Opacity (of 255) from which a pixel counts as belonging to a piece."""
MIN_VISIBLE = 0.25
"""Part of a worn garment that must be in view for it to get a box; of a shirt under a closed coat less shows."""
_MIN_VISIBLE_LYING = 0.45


@dataclass(frozen=True)
class Piece:
    """A layer of a scene. Without a product it is part of the person or of the furniture and gets no box."""

    layer: Layer
    product: Product | None = None
    shadow: bool = False


@dataclass(frozen=True)
class Box:
    """Visible bounds of a garment: x, y, width, height in pixels, and the number of its visible pixels."""

    category: Category
    xywh_px: tuple[int, int, int, int]
    area_px: int


@dataclass(frozen=True)
class Scene:
    """A finished RGB picture with its boxes; pictures of one `group` must stay on one side of a split."""

    image: Image.Image
    boxes: tuple[Box, ...]
    kind: str
    group: str


def compose(ground: Image.Image, pieces: Sequence[Piece]) -> Image.Image:
    """Put the pieces on the ground."""
    image = ground.copy()
    for piece in pieces:
        layer = piece.layer
        if piece.shadow:
            cast_shadow(image, layer.image, layer.left, layer.top, shift_px=3, blur_px=3, opacity=0.34)
        image.paste(layer.image, (layer.left, layer.top), layer.image)
    return image


def visible_boxes(
    pieces: Sequence[Piece], size_px: int, min_box_px: float, min_visible: float
) -> tuple[list[Box], list[Product]]:
    """Boxes of the garments in view, and the products of which too little is in view."""
    boxes: list[Box] = []
    hidden: list[Product] = []
    covered = np.zeros((size_px, size_px), dtype=bool)
    for piece in reversed(pieces):
        layer = piece.layer
        whole = np.asarray(layer.image.getchannel("A")) >= _COVERS
        left, top = max(0, layer.left), max(0, layer.top)
        inside = whole[top - layer.top : size_px - layer.top, left - layer.left : size_px - layer.left]
        below = covered[top : top + inside.shape[0], left : left + inside.shape[1]]
        seen = inside & ~below
        below |= inside
        if piece.product is None:
            continue
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        if len(rows) == 0 or seen.sum() < max(min_visible * whole.sum(), min_box_px**2 / 2):
            hidden.append(piece.product)
            continue
        width, height = int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1
        if min(width, height) < min_box_px:
            hidden.append(piece.product)
            continue
        xywh = (left + int(columns[0]), top + int(rows[0]), width, height)
        boxes.append(Box(piece.product.category, xywh, int(seen.sum())))
    return boxes[::-1], hidden


_RELATIVE_LENGTH = {
    Category.TOPS: 0.52,
    Category.BOTTOMS: 0.56,
    Category.OUTERWEAR: 0.58,
    Category.ALL_BODY: 0.62,
    Category.SHOES: 0.46,
    Category.BAGS: 0.48,
    Category.HATS: 0.46,
    Category.SUNGLASSES: 0.44,
    Category.SCARVES: 0.5,
    Category.JEWELLERY: 0.44,
    Category.ACCESSORIES: 0.48,
    Category.LEGWEAR: 0.52,
}
_FLAT_WEIGHT = {
    Category.TOPS: 0.8,
    Category.BOTTOMS: 0.8,
    Category.OUTERWEAR: 0.8,
    Category.ALL_BODY: 1.3,
    Category.SHOES: 0.8,
    Category.BAGS: 1.0,
    Category.HATS: 1.2,
    Category.SUNGLASSES: 1.2,
    Category.SCARVES: 1.2,
    Category.JEWELLERY: 1.6,
    Category.ACCESSORIES: 1.8,
    Category.LEGWEAR: 2.0,
}


def product_shot(product: Product, size_px: int, fill: float, rng: random.Random) -> tuple[Image.Image, Layer]:
    """A product alone on a light ground, its longer side `fill` of the picture."""
    layer = flat_layer(product, size_px * fill)
    left, top = (size_px - layer.image.width) // 2, (size_px - layer.image.height) // 2
    image = product_ground(size_px, rng)
    cast_shadow(image, layer.image, left, top, shift_px=4, blur_px=6, opacity=0.3)
    image.paste(layer.image, (left, top), layer.image)
    return image, Layer(layer.image, left, top)


def product_scene(product: Product, size_px: int, rng: random.Random) -> Scene:
    """A product shot as a picture for the detector."""
    image, layer = product_shot(product, size_px, rng.uniform(0.5, 0.86), rng)
    boxes, _ = visible_boxes([Piece(layer, product)], size_px, min_box_px=1, min_visible=0)
    return Scene(image, tuple(boxes), "product", f"product-{product.item_id}")


def flat_lay_scene(shop: Sequence[Product], size_px: int, min_box_px: float, group: str, rng: random.Random) -> Scene:
    """Two to four garments side by side on a table or a floor, turned a little, overlapping a little."""
    amounts = Counter(product.category for product in shop)
    weights = [_FLAT_WEIGHT[product.category] / amounts[product.category] for product in shop]
    wanted = rng.choices(shop, weights, k=rng.randrange(2, 5))
    pieces: list[Piece] = []
    taken: list[tuple[float, float, float, float]] = []
    for product in sorted(wanted, key=lambda item: -_RELATIVE_LENGTH[item.category]):
        length = size_px * _RELATIVE_LENGTH[product.category] * rng.uniform(0.8, 1.15)
        layer = flat_layer(product, length, SCENE_SUPERSAMPLE)
        image = layer.image.rotate(rng.gauss(0, 11), Image.Resampling.BICUBIC, expand=True)
        image = image.crop(image.getbbox())
        left, top = _free_place(image.width, image.height, size_px, taken, rng)
        taken.append((left, top, left + image.width, top + image.height))
        pieces.append(Piece(Layer(image, left, top), product, shadow=True))
    return without_hidden(
        lying_ground(size_px, rng), pieces, size_px, min_box_px, _MIN_VISIBLE_LYING, "flat-lay", group
    )


def _free_place(
    width: int, height: int, size_px: int, taken: Sequence[tuple[float, float, float, float]], rng: random.Random
) -> tuple[int, int]:
    """Of 14 random positions, that with the least overlap with what already lies there."""
    best = (float("inf"), 0, 0)
    for _ in range(14):
        left = rng.randint(-4, max(-3, size_px - width + 4))
        top = rng.randint(-4, max(-3, size_px - height + 4))
        overlap = sum(
            max(0.0, min(left + width, right) - max(left, x)) * max(0.0, min(top + height, bottom) - max(top, y))
            for x, y, right, bottom in taken
        )
        best = min(best, (overlap, left, top))
    return best[1], best[2]


def without_hidden(
    ground: Image.Image,
    pieces: Sequence[Piece],
    size_px: int,
    min_box_px: float,
    min_visible: float,
    kind: str,
    group: str,
) -> Scene:
    """Take away garments that can hardly be seen, until every garment in the picture has its box."""
    while True:
        boxes, hidden = visible_boxes(pieces, size_px, min_box_px, min_visible)
        if not hidden:
            return Scene(compose(ground, pieces), tuple(boxes), kind, group)
        pieces = [piece for piece in pieces if piece.product is None or piece.product not in hidden]
