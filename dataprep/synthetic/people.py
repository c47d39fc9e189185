"""Scenes with people: an outfit worn by one or two drawn people, seen whole, from the knees up or from the hips up."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from aura.taxonomy import Category
from dataprep.synthetic.backgrounds import standing_ground
from dataprep.synthetic.body import HEIGHT, SIDES, Body, Person, draw_back_hair, draw_person
from dataprep.synthetic.drawing import draw_product
from dataprep.synthetic.outfits import Outfit
from dataprep.synthetic.pencil import Pencil
from dataprep.synthetic.scenes import MIN_VISIBLE, SCENE_SUPERSAMPLE, Piece, Scene, compose, visible_boxes
from dataprep.synthetic.shop import Product

_ESSENTIAL = frozenset({Category.TOPS, Category.BOTTOMS, Category.ALL_BODY, Category.SHOES})
_LEAST_BOX_PX = 8.0
_HEADROOM = 16.0
"""Units above the head that hats may need."""
_VIEWS = ((216.0, 0.4), (158.0, 0.35), (130.0, 0.25))
"""Units of height in the picture (whole person, from the knees up, from the hips up) and how often."""
_PORTRAIT = 0.75
"""Width of a portrait relative to its height."""
_SWAY_PX = 8
"""How far a person stands from the middle of the picture at most."""
_TUCKED = frozenset({"blouse", "shirt", "polo", "t-shirt", "tank-top"})


def _rank(product: Product, tucked: bool) -> float:
    """Place in the pile from the skin outwards."""
    if product.category is Category.TOPS:
        return 2.5 if tucked else 4.0
    if product.category is Category.ACCESSORIES:
        return {"belt": 5.0, "tie": 5.2}.get(product.garment, 10.0)
    order = {
        Category.LEGWEAR: 1.0,
        Category.SHOES: 2.0,
        Category.BOTTOMS: 3.0,
        Category.ALL_BODY: 3.0,
        Category.JEWELLERY: 5.5,
        Category.OUTERWEAR: 6.0,
        Category.SCARVES: 7.0,
        Category.BAGS: 8.0,
        Category.SUNGLASSES: 11.0,
        Category.HATS: 12.0,
    }
    return order[product.category]


def random_body(rng: random.Random) -> Body:
    return Body(
        arms_deg=(rng.uniform(10, 34), rng.uniform(10, 34)),
        bends_deg=(rng.uniform(-4, 16), rng.uniform(-4, 16)),
        stance=rng.uniform(0, 5),
        girth=rng.uniform(0.93, 1.1),
    )


@dataclass(frozen=True)
class Stage:
    """Where a person stands in the picture: pixels per unit of height, and the pixel of the top of the head."""

    size_px: int
    px_per_unit: float
    crown_px: tuple[float, float]

    def pencil(self) -> Pencil:
        return Pencil((self.size_px, self.size_px), self.px_per_unit, self.crown_px, SCENE_SUPERSAMPLE)


def dressed(products: Sequence[Product], stage: Stage, body: Body, person: Person, tucked: bool) -> list[Piece]:
    """Pieces of a person in these clothes, the lowest first; what lies outside the picture is left out."""
    tucked = tucked or any(product.garment == "belt" for product in products)
    coated = any(product.category is Category.OUTERWEAR for product in products)
    pencil = stage.pencil()
    draw_back_hair(pencil, person)
    draw_person(pencil, person, body)
    pieces = [Piece(pencil.layer())]
    for product in sorted(products, key=lambda item: _rank(item, tucked and item.garment in _TUCKED)):
        pencil = stage.pencil()
        draw_product(pencil, product, body)
        if coated and product.category in (Category.TOPS, Category.ALL_BODY):
            _slip_into_coat(pencil, body)
        if not pencil.empty:
            pieces.append(Piece(pencil.layer(), product))
    return pieces


def _slip_into_coat(pencil: Pencil, body: Body) -> None:
    """Remove what the sleeves of a coat cover, so that no sliver of the sleeve below peeps out beside them."""
    g = body.girth
    for side in SIDES:
        arm = [(14.5 * g, 38), (70, 38), (70, 118), (19.8 * g, 118), (18.6 * g, 101), (15.5 * g, 84)]
        pencil.cut([(side * x, y) for x, y in arm])


def _stages(size_px: int, rng: random.Random) -> list[Stage]:
    """One person, or in 5 % of the scenes two side by side."""
    if rng.random() < 0.05:
        stages = []
        for middle in (0.29, 0.71):
            scale = size_px * rng.uniform(0.82, 0.94) / (HEIGHT + _HEADROOM)
            foot = size_px * rng.uniform(0.95, 0.985)
            stages.append(Stage(size_px, scale, (size_px * (middle + rng.uniform(-0.03, 0.03)), foot - HEIGHT * scale)))
        return stages
    units = rng.choices([units for units, _ in _VIEWS], [chance for _, chance in _VIEWS])[0]
    whole = units > HEIGHT
    scale = size_px / units * (rng.uniform(0.88, 0.97) if whole else rng.uniform(0.97, 1.06))
    top = size_px * rng.uniform(0.95, 0.985) - HEIGHT * scale if whole else _HEADROOM * scale * rng.uniform(0.85, 1.1)
    return [Stage(size_px, scale, (size_px * 0.5, top))]


def person_scene(outfits: Sequence[Outfit], size_px: int, min_box_px: float, rng: random.Random) -> Scene:
    """One or two people, each in an outfit; small or covered extras are taken off again."""
    stages = _stages(size_px, rng)
    worn = rng.sample(range(len(outfits)), len(stages))
    pieces: list[Piece] = []
    for stage, number in zip(stages, worn, strict=True):
        body, person, tucked = random_body(rng), Person.draw_from(rng), rng.random() < 0.4
        pieces += dressed(outfits[number].products, stage, body, person, tucked)
    ground = standing_ground(size_px, rng)
    while True:
        _, hidden = visible_boxes(pieces, size_px, min_box_px, MIN_VISIBLE)
        taken_off = [product for product in hidden if product.category not in _ESSENTIAL]
        if not taken_off:
            break
        pieces = [piece for piece in pieces if piece.product not in taken_off]
    # What is worn stays on and has its box, however small: garments in view without boxes teach a detector to miss them.
    boxes, _ = visible_boxes(pieces, size_px, min(min_box_px, _LEAST_BOX_PX), MIN_VISIBLE)
    scene = Scene(compose(ground, pieces), tuple(boxes), "figure", f"outfit-{outfits[worn[0]].outfit_id}")
    return _portrait(scene, size_px, rng)


def _portrait(scene: Scene, size_px: int, rng: random.Random) -> Scene:
    """The scene in portrait format, as people are photographed; as it is when its garments are wider than that."""
    if not scene.boxes:
        return scene
    width = round(size_px * _PORTRAIT)
    first = min(box.xywh_px[0] for box in scene.boxes)
    last = max(box.xywh_px[0] + box.xywh_px[2] for box in scene.boxes)
    earliest, latest = max(0, last - width), min(first, size_px - width)
    if earliest > latest:
        return scene
    aim = (size_px - width) // 2 + rng.randint(-_SWAY_PX, _SWAY_PX)
    left = min(max(aim, earliest), latest)
    boxes = [replace(box, xywh_px=(box.xywh_px[0] - left, *box.xywh_px[1:])) for box in scene.boxes]
    return replace(scene, image=scene.image.crop((left, 0, left + width, size_px)), boxes=tuple(boxes))
