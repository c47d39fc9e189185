"""What the prediction log keeps of a photo and what was found in it."""

from __future__ import annotations

import numpy as np

from bentos.serving.images import SentImage
from bentos.visual_analysis.messages import FoundGarments
from stores.predictions import Figures

_SIDE = 64
"""Rows and columns of pixels that the brightness is taken from, at most twice as many."""


def photo_figures(photo: SentImage, found: FoundGarments) -> Figures:
    """Brightness 0 to 1 (mean of the channels as sent, sRGB), size in megapixels, and the garments' categories and scores."""
    return {
        "brightness": [_brightness(photo)],
        "megapixels": [photo.width_px * photo.height_px / 1e6],
        "garments": [len(found.garments)],
        "category": [garment.category.value for garment in found.garments],
        "score": [round(garment.score, 4) for garment in found.garments],
    }


def _brightness(photo: SentImage) -> float:
    pixels = photo.pixels
    rgb = np.frombuffer(pixels.rgb, dtype=np.uint8).reshape(pixels.height_px, pixels.width_px, 3)
    some = rgb[:: max(1, pixels.height_px // _SIDE), :: max(1, pixels.width_px // _SIDE)]
    return round(float(some.mean()) / 255, 4)
