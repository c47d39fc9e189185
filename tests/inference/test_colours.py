"""Colours are measured as published and named as people do."""

from __future__ import annotations

import numpy as np
import pytest

from inference.colours import Colours, difference, name_colours, to_lab


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # Sharma, Wu and Dalal (2005), table 1, pairs 1, 3, 7, 9, 11, 17 to 20, 25 and 34.
        ((50.0000, 2.6772, -79.7751), (50.0000, 0.0000, -82.7485), 2.0425),
        ((50.0000, 2.8361, -74.0200), (50.0000, 0.0000, -82.7485), 3.4412),
        ((50.0000, 0.0000, 0.0000), (50.0000, -1.0000, 2.0000), 2.3669),
        ((50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0009), 7.1792),
        ((50.0000, 2.4900, -0.0010), (50.0000, -2.4900, 0.0011), 7.2195),
        ((50.0000, 2.5000, 0.0000), (73.0000, 25.0000, -18.0000), 27.1492),
        ((50.0000, 2.5000, 0.0000), (61.0000, -5.0000, 29.0000), 22.8977),
        ((50.0000, 2.5000, 0.0000), (56.0000, -27.0000, -3.0000), 31.9030),
        ((50.0000, 2.5000, 0.0000), (58.0000, 24.0000, 15.0000), 19.4535),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_are_the_published_ones(
    first: tuple[float, ...], second: tuple[float, ...], expected: float
) -> None:
    assert difference(np.array(first), np.array(second)) == pytest.approx(expected, abs=6e-5)
    assert difference(np.array(second), np.array(first)) == pytest.approx(expected, abs=6e-5)


def test_lab_of_known_colours() -> None:
    lab = to_lab(np.array([[255, 255, 255], [0, 0, 0], [255, 0, 0]], dtype=np.uint8))
    np.testing.assert_allclose(lab, [[100, 0, 0], [0, 0, 0], [53.24, 80.09, 67.2]], atol=0.05)


def _pixels(*patches: tuple[str, int]) -> np.ndarray:
    rows = [np.tile(np.frombuffer(bytes.fromhex(code), dtype=np.uint8), (number, 1)) for code, number in patches]
    return np.concatenate(rows)


@pytest.mark.parametrize(
    ("patches", "colours"),
    [
        ([("1b2440", 500)], Colours("navy")),
        ([("0b0b0b", 700), ("fafafa", 300)], Colours("black", "white")),
        # A fifth is trimming, not a second colour.
        ([("0b0b0b", 850), ("fafafa", 150)], Colours("black")),
        # Light and shadow of one cloth.
        ([("b81f2f", 600), ("8f1825", 400)], Colours("red")),
        ([("b81f2f", 1)], Colours("red")),
    ],
)
def test_names(patches: list[tuple[str, int]], colours: Colours) -> None:
    assert name_colours(_pixels(*patches)) == colours


def test_the_order_of_pixels_does_not_matter() -> None:
    pixels = _pixels(("b81f2f", 400), ("e7cf4e", 350), ("2a56a8", 250))
    shuffled = np.random.default_rng(0).permutation(pixels)
    assert name_colours(pixels) == name_colours(shuffled) == Colours("red", "yellow")


def test_no_pixel_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="no pixel"):
        name_colours(np.zeros((0, 3), dtype=np.uint8))
