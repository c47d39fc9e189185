"""The one way to make any picture an upright RGB picture, for training and for serving."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

_BYTE_MAX = 255


def upright_rgb(image: Image.Image) -> Image.Image:
    """Photo turned as its EXIF orientation says, in RGB; transparency becomes white, 16-bit greyscale is scaled."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I", "F")):
        image = _greyscale_of_wide(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba)
    return image.convert("RGB")


def _greyscale_of_wide(image: Image.Image) -> Image.Image:
    """One-channel image of more than 8 bits -> 8 bits; Pillow's own conversion would clip at 255."""
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    largest = 65535.0 if image.mode.startswith("I") else max(1.0, float(values.max(initial=0.0)))
    return Image.fromarray(np.clip(values / largest * _BYTE_MAX, 0, _BYTE_MAX).astype(np.uint8))
