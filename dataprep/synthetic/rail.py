"""Scenes of a clothes rail: garments on hangers, a bag or shoes on the floor below."""

from __future__ import annotations

import random
from collections.abc import Sequence

from aura.taxonomy import Category
from dataprep.synthetic.backgrounds import room
from dataprep.synthetic.body import Body
from dataprep.synthetic.drawing import draw_product, flat_layer
from dataprep.synthetic.pencil import Layer, Pencil, ellipse
from dataprep.synthetic.scenes import SCENE_SUPERSAMPLE, Piece, Scene, without_hidden
from dataprep.synthetic.shop import Product

_MIN_VISIBLE_HANGING = 0.3
_HANGING = frozenset({Category.TOPS, Category.OUTERWEAR, Category.ALL_BODY})
_STANDING = frozenset({Category.SHOES, Category.BAGS})
_TONES = ((66, 60, 58), (176, 140, 96), (214, 214, 216), (150, 104, 66))
_UNITS = 236.0
_BAR_Y = 12.0


def rail_scene(shop: Sequence[Product], size_px: int, min_box_px: float, group: str, rng: random.Random) -> Scene:
    """Two to four garments on a rail, sleeves hanging down, and one or two things on the floor."""
    scale = size_px / _UNITS
    half = _UNITS / 2
    tone = rng.choice(_TONES)
    frame = Pencil((size_px, size_px), scale, (size_px / 2, 0), SCENE_SUPERSAMPLE)
    reach = rng.uniform(0.72, 0.86) * half
    for side in (-1, 1):
        frame.stroke([(side * reach, _BAR_Y), (side * reach, _UNITS - 16)], tone, 3.4, edge=True)
        frame.stroke([(side * (reach - 12), _UNITS - 14), (side * (reach + 12), _UNITS - 14)], tone, 3.4, edge=True)
    frame.stroke([(-reach - 3, _BAR_Y), (reach + 3, _BAR_Y)], tone, 3.6, edge=True)
    pieces = [Piece(frame.layer())]
    count = rng.randrange(2, 5)
    for number, product in enumerate(_pick(shop, _HANGING, count, rng)):
        x = -reach + 2 * reach * (number + 0.5) / count + rng.uniform(-5, 5)
        pieces += _hung(product, size_px, scale, x + half, rng)
    for product in _pick(shop, _STANDING, rng.randrange(1, 3), rng):
        layer = flat_layer(product, size_px * rng.uniform(0.2, 0.28), SCENE_SUPERSAMPLE)
        left = rng.randrange(4, size_px - layer.image.width - 4)
        top = round(size_px * rng.uniform(0.93, 0.985)) - layer.image.height
        pieces.append(Piece(Layer(layer.image, left, top), product, shadow=True))
    return without_hidden(room(size_px, rng), pieces, size_px, min_box_px, _MIN_VISIBLE_HANGING, "rail", group)


def _pick(shop: Sequence[Product], categories: frozenset[Category], count: int, rng: random.Random) -> list[Product]:
    return rng.sample([product for product in shop if product.category in categories], count)


def _hung(product: Product, size_px: int, scale: float, x: float, rng: random.Random) -> list[Piece]:
    """A hanger and the garment on it; `x` in units from the left edge."""
    scale *= rng.uniform(0.92, 1.06)
    crown = (x * size_px / _UNITS, _BAR_Y * size_px / _UNITS - 26 * scale)
    hanger = Pencil((size_px, size_px), scale, crown, SCENE_SUPERSAMPLE)
    hanger.stroke([*ellipse(0, 28.5, 3, 3, 150, 450), (0, 39)], (120, 112, 108), 1.4)
    hanger.stroke([(-16, 48.5), (0, 39.5), (16, 48.5)], (176, 132, 90), 2.8, edge=True)
    body = Body(arms_deg=(rng.uniform(3, 9), rng.uniform(3, 9)), bends_deg=(0, 0), flat=True)
    pencil = Pencil((size_px, size_px), scale, crown, SCENE_SUPERSAMPLE)
    draw_product(pencil, product, body)
    return [Piece(hanger.layer()), Piece(pencil.layer(), product, shadow=True)]
