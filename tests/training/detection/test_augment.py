"""Augmentation keeps boxes on their garments."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from inference.detection.preprocess import Preprocess
from training.detection.augment import augment
from training.detection.settings import AugmentSettings

_PREPROCESS = Preprocess(height=96, width=64, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
_STILL = AugmentSettings(mirror=0, zoom_out=0, zoom_in=0, stretch=0, brightness=0, hue_degrees=0)
_BOX = np.array([[20.0, 30.0, 60.0, 90.0]])


def _photo(width: int = 128, height: int = 192) -> Image.Image:
    """White with one black box at `_BOX`."""
    pixels = np.full((height, width, 3), 255, dtype=np.uint8)
    x0, y0, x1, y1 = _BOX[0].astype(int)
    pixels[y0:y1, x0:x1] = 0
    return Image.fromarray(pixels)


def _black_box(canvas: np.ndarray) -> np.ndarray:
    ys, xs = np.nonzero(canvas.max(axis=2) < 60)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1], dtype=float)


def test_switched_off_it_equals_serving() -> None:
    photo = _photo()
    canvas, boxes, kept = augment(photo, _BOX, _PREPROCESS, _STILL, np.random.default_rng(0))
    expected, placement = _PREPROCESS.place(photo)
    np.testing.assert_array_equal(canvas, expected)
    np.testing.assert_allclose(boxes, placement.to_canvas(_BOX))
    assert kept.tolist() == [0]


def test_mirroring_moves_the_box_to_the_other_side() -> None:
    settings = _STILL.model_copy(update={"mirror": 1.0})
    canvas, boxes, _ = augment(_photo(), _BOX, _PREPROCESS, settings, np.random.default_rng(0))
    assert boxes[0].tolist() == pytest.approx([34, 15, 54, 45])
    np.testing.assert_allclose(_black_box(canvas), boxes[0], atol=1)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("size", [(128, 192), (200, 160)])
def test_the_box_stays_on_the_garment(seed: int, size: tuple[int, int]) -> None:
    settings = AugmentSettings(zoom_out=0.4, zoom_in=0.8, stretch=0.3, min_visible=0.05)
    canvas, boxes, kept = augment(_photo(*size), _BOX, _PREPROCESS, settings, np.random.default_rng(seed))
    if len(kept):
        np.testing.assert_allclose(_black_box(canvas), boxes[0], atol=1.5)
        assert boxes.min() >= 0
        assert (boxes[:, [0, 2]] <= 64).all()
        assert (boxes[:, [1, 3]] <= 96).all()


def test_a_box_cropped_away_is_dropped() -> None:
    corner = np.array([[0.0, 0.0, 30.0, 30.0], [20.0, 30.0, 60.0, 90.0]])
    settings = _STILL.model_copy(update={"zoom_in": 1.0, "min_visible": 0.5})
    dropped = [
        0 not in augment(_photo(), corner, _PREPROCESS, settings, np.random.default_rng(seed))[2] for seed in range(20)
    ]
    assert any(dropped)
    assert not all(dropped)


def test_a_photo_without_boxes_stays_usable() -> None:
    _, boxes, kept = augment(_photo(), np.zeros((0, 4)), _PREPROCESS, AugmentSettings(), np.random.default_rng(0))
    assert boxes.shape == (0, 4)
    assert kept.shape == (0,)


def test_colours_change_and_grey_keeps_its_hue() -> None:
    settings = _STILL.model_copy(update={"hue_degrees": 90.0})
    grey = Image.new("RGB", (64, 96), (120, 120, 120))
    red = Image.new("RGB", (64, 96), (200, 40, 40))
    view, _, _ = augment(grey, np.zeros((0, 4)), _PREPROCESS, settings, np.random.default_rng(1))
    assert np.abs(view.astype(int) - 120).max() <= 1
    view, _, _ = augment(red, np.zeros((0, 4)), _PREPROCESS, settings, np.random.default_rng(1))
    assert np.abs(view.astype(int) - [200, 40, 40]).max() > 10


def test_the_generator_decides_everything() -> None:
    first = augment(_photo(), _BOX, _PREPROCESS, AugmentSettings(), np.random.default_rng((1, 2, 3)))
    again = augment(_photo(), _BOX, _PREPROCESS, AugmentSettings(), np.random.default_rng((1, 2, 3)))
    other = augment(_photo(), _BOX, _PREPROCESS, AugmentSettings(), np.random.default_rng((1, 3, 3)))
    np.testing.assert_array_equal(first[0], again[0])
    assert (first[0] != other[0]).any()
