"""Boxes are measured from what is drawn: tight, in view, large enough.

The same pieces on black and on white ground differ wherever the ground shows, so what is equal was drawn.
"""

from __future__ import annotations

import random
from dataclasses import replace
from statistics import mean

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from aura.taxonomy import CATEGORIES, Category
from dataprep.synthetic.body import Body, Person
from dataprep.synthetic.drawing import flat_layer
from dataprep.synthetic.outfits import build_outfits
from dataprep.synthetic.pencil import Layer, Pencil
from dataprep.synthetic.people import Stage, dressed, person_scene
from dataprep.synthetic.scenes import Box, Piece, compose, product_shot, visible_boxes, without_hidden
from dataprep.synthetic.settings import SampleSettings
from dataprep.synthetic.shop import Product, build_shop
from dataprep.synthetic.source import draw_scenes
from dataprep.synthetic.wardrobe import LINES

SIZE_PX = 128
SHOP = build_shop(96, seed=5)
WORN = {Category.TOPS, Category.BOTTOMS, Category.ALL_BODY, Category.SHOES}


def drawn(pieces: list[Piece]) -> npt.NDArray[np.bool_]:
    """Pixels (height, width) that no ground shines through."""
    black, white = (
        np.asarray(compose(Image.new("RGB", (SIZE_PX, SIZE_PX), ground), pieces)).astype(int)
        for ground in ("black", "white")
    )
    # Half covered is the limit from which a pixel counts.
    return np.asarray(np.abs(white - black).max(2) <= 150)


def bounds(pixels: npt.NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """x, y, width, height."""
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1


@pytest.mark.parametrize("category", CATEGORIES)
def test_a_garment_alone_fills_its_box(category: Category) -> None:
    for product in [item for item in SHOP if item.category is category][:3]:
        layer = flat_layer(product, 80)
        # Partly outside: the box ends at the edge of the picture.
        for left, top in ((20, 24), (-10, 60)):
            piece = Piece(Layer(layer.image, left, top), product)
            (box,), hidden = visible_boxes([piece], SIZE_PX, 1, 0)
            assert hidden == []
            assert box.category is category
            assert box.xywh_px == bounds(drawn([piece]))
            assert box.area_px == drawn([piece]).sum()


def test_a_worn_garment_has_drawn_pixels_in_its_box() -> None:
    stage = Stage(SIZE_PX, SIZE_PX / 216, (64, 8))
    person = Person.draw_from(random.Random(0))
    for outfit in build_outfits(SHOP, 12, 5, 0.0):
        pieces = dressed(outfit.products, stage, Body(), person, tucked=True)
        boxes, hidden = visible_boxes(pieces, SIZE_PX, 4, 0.05)
        assert len(boxes) + len(hidden) == len(pieces) - 1
        for box in boxes:
            x, y, width, height = box.xywh_px
            assert drawn(pieces)[y : y + height, x : x + width].sum() >= box.area_px
        # The garment on top is covered by nothing.
        if pieces[-1].product not in hidden:
            assert boxes[-1].xywh_px == bounds(drawn(pieces[-1:]))


def _block(product: Product, left: int, top: int, width: int, height: int) -> Piece:
    return Piece(Layer(Image.new("RGBA", (width, height), "red"), left, top), product)


def test_a_box_ends_where_another_garment_begins() -> None:
    below, above = SHOP[0], SHOP[-1]
    pieces = [_block(below, 10, 10, 60, 40), _block(above, 50, 0, 40, 100)]
    boxes, hidden = visible_boxes(pieces, SIZE_PX, 8, 0.1)
    assert boxes == [
        Box(below.category, (10, 10, 40, 40), 1600),
        Box(above.category, (50, 0, 40, 100), 4000),
    ]
    assert hidden == []


@pytest.mark.parametrize(
    ("cover", "why"),
    [((14, 10, 56, 40), "a strip of 4 px is left"), ((10, 10, 60, 38), "5 % are left"), ((0, 0, 128, 128), "nothing is left")],
)  # fmt: skip
def test_a_garment_that_can_hardly_be_seen_is_taken_away(cover: tuple[int, int, int, int], why: str) -> None:
    pieces = [_block(SHOP[0], 10, 10, 60, 40), _block(SHOP[-1], *cover)]
    _, hidden = visible_boxes(pieces, SIZE_PX, 8, 0.1)
    assert hidden == [SHOP[0]], why
    ground = Image.new("RGB", (SIZE_PX, SIZE_PX), "white")
    scene = without_hidden(ground, pieces, SIZE_PX, 8, 0.1, "flat-lay", "group")
    assert [box.category for box in scene.boxes] == [SHOP[-1].category]
    assert scene.image.tobytes() == compose(ground, pieces[1:]).tobytes()


def test_what_covers_without_being_sold_has_no_box() -> None:
    pieces = [_block(SHOP[0], 10, 10, 60, 40), replace(_block(SHOP[1], 10, 10, 60, 20), product=None)]
    boxes, _ = visible_boxes(pieces, SIZE_PX, 8, 0.1)
    assert boxes == [Box(SHOP[0].category, (10, 30, 60, 20), 1200)]


@pytest.mark.parametrize("least_px", [8, 16])
def test_scenes_of_every_kind_keep_the_least_size(least_px: int) -> None:
    settings = SampleSettings(scenes=150, scene_size_px=SIZE_PX, min_box_px=least_px, seed=3)
    scenes = list(draw_scenes(SHOP, build_outfits(SHOP, 60, 3, 0.0), settings))
    assert {scene.kind for scene in scenes} == {"figure", "flat-lay", "rail", "product"}
    assert mean(len(scene.boxes) for scene in scenes) > 1.9
    for scene in scenes:
        assert scene.image.width <= scene.image.height == SIZE_PX
        assert scene.group
        for box in scene.boxes:
            x, y, width, height = box.xywh_px
            assert min(x, y) >= 0
            assert x + width <= scene.image.width
            assert y + height <= scene.image.height
            least = 8 if scene.kind == "figure" and box.category in WORN else least_px
            assert min(width, height) >= least
            assert least**2 / 2 <= box.area_px <= width * height


def test_what_a_figure_wears_has_its_box_however_small_and_extras_are_taken_off() -> None:
    """A garment in view without a box would teach the detector to overlook it."""
    outfits = build_outfits(SHOP, 20, 3, 0.0)
    scenes = [person_scene(outfits, 96, 90, random.Random(number)) for number in range(10)]
    assert all(scene.boxes for scene in scenes)
    assert {box.category for scene in scenes for box in scene.boxes} <= WORN


def test_a_scene_depends_on_its_number_alone() -> None:
    outfits = build_outfits(SHOP, 60, 3, 0.0)
    few, more = (
        list(draw_scenes(SHOP, outfits, SampleSettings(scenes=number, scene_size_px=96))) for number in (10, 14)
    )
    assert [scene.image.tobytes() for scene in few] == [scene.image.tobytes() for scene in more[:10]]
    assert [scene.boxes for scene in few] == [scene.boxes for scene in more[:10]]


def test_a_product_shot_holds_the_whole_product() -> None:
    for product in SHOP[::9]:
        image, layer = product_shot(product, 96, 0.84, random.Random(1))
        assert image.size == (96, 96)
        assert 76 <= max(layer.image.size) <= 84
        assert min(layer.left, layer.top) >= 5


def test_every_garment_of_the_wardrobe_can_be_drawn_in_every_cut() -> None:
    example = {category: next(item for item in SHOP if item.category is category) for category in CATEGORIES}
    for category, lines in LINES.items():
        for line in lines:
            for cut in dict.fromkeys(line.cuts):
                product = replace(
                    example[category], garment=line.garment, cut=cut, style=line.style, fabric=line.fabrics[0],
                    pattern=line.patterns[-1],
                )  # fmt: skip
                layer = flat_layer(product, 48, 2)
                assert max(layer.image.size) >= 44, (line.garment, cut)


def test_a_layer_with_nothing_on_it_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="nothing was drawn"):
        Pencil((10, 10), 1.0, (0, 0)).layer()
