"""The colours of a garment are told from what is around it: a street, a leg, the ground that it lies on."""

from __future__ import annotations

import pytest
from PIL import Image, ImageDraw

from inference import garment_colours as module
from inference.colours import Colours, dominant_colours
from inference.garment_colours import garment_colours, garment_colours_in

TROUSERS = (60.0, 60.0, 140.0, 300.0)


def street() -> Image.Image:
    """A grey street, and a person with a black top, tan trousers with the street between the legs, and skin below them."""
    photo = Image.new("RGB", (200, 360), "#6d6e70")
    pen = ImageDraw.Draw(photo)
    pen.rectangle((60, 10, 140, 60), fill="#0b0b0b")
    pen.polygon([(60, 60), (140, 60), (140, 300), (108, 300), (100, 120), (92, 300), (60, 300)], fill="#b08855")
    pen.rectangle((66, 300, 86, 330), fill="#e5ccb0")
    pen.rectangle((114, 300, 134, 330), fill="#e5ccb0")
    pen.rectangle((60, 330, 140, 345), fill="#b81f2f")
    return photo


def test_a_garment_that_fills_its_box_is_not_taken_for_the_ground() -> None:
    assert garment_colours_in(street(), TROUSERS) == Colours("tan")
    assert garment_colours(street().crop(tuple(map(int, TROUSERS)))).main == "tan"  # type: ignore[arg-type]


def test_what_is_seen_around_a_box_is_not_the_garments() -> None:
    assert garment_colours_in(street(), (58, 322, 142, 347)) == Colours("red"), "a box of shoes holds street and ankles"


@pytest.mark.parametrize("box", [(0, 0, 200, 360), (-5, -5, 205, 365), (199.2, 359.5, 200, 360), (0, 0, 0.2, 0.2)])
def test_a_box_of_the_whole_photo_or_of_less_than_a_pixel_has_colours(box: tuple[float, ...]) -> None:
    assert garment_colours_in(street(), box).main


def test_a_garment_of_one_colour_with_its_surroundings_is_of_that_colour() -> None:
    assert garment_colours_in(Image.new("RGB", (90, 90), "#fafafa"), (20, 20, 70, 70)) == Colours("white")
    assert garment_colours(Image.new("RGB", (90, 90), "#fafafa")) == Colours("white")


def test_of_a_garment_on_a_plain_ground_the_ground_does_not_count() -> None:
    picture = Image.new("RGB", (100, 100), "#fafafa")
    ImageDraw.Draw(picture).ellipse((30, 30, 70, 70), fill="#1b2440")
    assert garment_colours(picture) == Colours("navy")


def test_a_picture_that_comes_again_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []
    monkeypatch.setattr(module, "dominant_colours", lambda pixels: measured.append(pixels) or dominant_colours(pixels))
    coral, teal = (Image.new("RGB", (70, 90), colour) for colour in ("#f2654a", "#0f7173"))
    first, other, again = (garment_colours(picture) for picture in (coral, teal, coral.copy()))
    assert first == again != other
    assert len(measured) == 2
