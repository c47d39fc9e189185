"""Pre-processing: any photo becomes the same canvas, and boxes find their way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from aura.errors import ArtifactError
from inference.detection.preprocess import Preprocess, upright_rgb

_ORIENTATION = 274


def _photo(width: int, height: int) -> Image.Image:
    """Left half red, right half blue."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    return Image.fromarray(pixels)


def test_the_photo_fills_one_side_and_is_centred_on_the_mean_colour(preprocess: Preprocess) -> None:
    canvas, placement = preprocess.place(_photo(400, 200))
    assert canvas.shape == (96, 64, 3)
    assert canvas.dtype == np.uint8
    assert (placement.left, placement.top, placement.width, placement.height) == (0, 32, 64, 32)
    assert canvas[0, 0].tolist() == [124, 116, 104]
    assert canvas[48, 10].tolist() == [255, 0, 0]
    assert canvas[48, 60].tolist() == [0, 0, 255]


def test_boxes_go_to_the_canvas_and_back(preprocess: Preprocess) -> None:
    _, placement = preprocess.place(_photo(301, 977))
    boxes = np.array([[0.0, 0.0, 301.0, 977.0], [12.5, 30.0, 200.0, 600.25]])
    on_canvas = placement.to_canvas(boxes)
    assert on_canvas.min() >= 0
    assert on_canvas[:, 2].max() <= preprocess.width
    assert on_canvas[:, 3].max() <= preprocess.height
    np.testing.assert_allclose(placement.to_photo(on_canvas), boxes, atol=1e-9)


def test_boxes_outside_the_photo_are_clipped_to_it(preprocess: Preprocess) -> None:
    _, placement = preprocess.place(_photo(400, 200))
    clipped = placement.to_photo(np.array([[-5.0, 0.0, 70.0, 96.0]]))
    assert clipped.tolist() == [[0.0, 0.0, 400.0, 200.0]]


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (7, 3), (4000, 30)])
def test_tiny_and_extreme_sizes_work(preprocess: Preprocess, size: tuple[int, int]) -> None:
    canvas, placement = preprocess.place(_photo(*size))
    assert canvas.shape == (96, 64, 3)
    assert placement.width >= 1
    assert placement.height >= 1


def test_exif_orientation_turns_the_photo() -> None:
    photo = _photo(40, 20)
    exif = photo.getexif()
    exif[_ORIENTATION] = 6
    photo.info["exif"] = exif.tobytes()
    upright = upright_rgb(photo)
    assert upright.size == (20, 40)
    assert upright.getpixel((10, 5)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "PA", "1", "CMYK", "YCbCr", "I", "F", "I;16", "HSV"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    base = _photo(40, 20)
    photo = Image.fromarray(np.full((20, 40), 4000, np.uint16)) if mode == "I;16" else base.convert(mode)
    assert upright_rgb(photo).mode == "RGB"
    assert upright_rgb(photo).size == (40, 20)


def test_transparent_pixels_become_white() -> None:
    assert upright_rgb(Image.new("RGBA", (4, 4), (0, 0, 0, 0))).getpixel((1, 1)) == (255, 255, 255)


def test_sixteen_bit_greyscale_is_scaled_not_clipped() -> None:
    photo = Image.fromarray(np.full((4, 4), 32768, np.uint16))
    assert upright_rgb(photo).getpixel((0, 0)) == (127, 127, 127)


def test_normalised_values(preprocess: Preprocess) -> None:
    canvases = torch.stack([torch.zeros(96, 64, 3, dtype=torch.uint8), torch.full((96, 64, 3), 255, dtype=torch.uint8)])
    pixels = preprocess.normalise(canvases)
    assert pixels.shape == (2, 3, 96, 64)
    assert pixels.dtype == torch.float32
    assert pixels[0, 0, 0, 0].item() == pytest.approx(-0.485 / 0.229, abs=1e-5)
    assert pixels[1, 2, 0, 0].item() == pytest.approx((1 - 0.406) / 0.225, abs=1e-5)


def test_json_round_trip(preprocess: Preprocess) -> None:
    assert Preprocess.from_json(preprocess.as_json()) == preprocess


@pytest.mark.parametrize(
    "change", [{"method": "stretch"}, {"width": None, "unknown": 1}, {"height": "tall"}, {"std": [0.0, 1.0, 1.0]}]
)
def test_other_descriptions_are_refused(preprocess: Preprocess, change: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match=r"preprocess\.json"):
        Preprocess.from_json({**preprocess.as_json(), **change})


def test_a_missing_key_is_refused(preprocess: Preprocess) -> None:
    values = preprocess.as_json()
    del values["mean"]
    with pytest.raises(ArtifactError, match="mean"):
        Preprocess.from_json(values)
