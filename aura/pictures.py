"""The one way to make any picture an upright RGB picture, for training and for serving."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

_BYTE_MAX, _WORD_MAX = 255.0, 65535.0


def turned_upright(image: Image.Image) -> Image.Image:
    """Photo turned as its EXIF orientation says.

    Raises:
        OSError: the photo is truncated, or its EXIF block is damaged.
    """
    try:
        return ImageOps.exif_transpose(image)
    except OSError:
        raise
    except Exception as error:  # Pillow does not check EXIF: struct.error, AttributeError, KeyError... escape
        raise OSError(f"damaged EXIF block ({error})") from error


def upright_rgb(image: Image.Image) -> Image.Image:
    """Photo turned as its EXIF orientation says, in RGB; transparency becomes white, 16-bit greyscale is scaled.

    Raises:
        OSError: as `turned_upright`.
    """
    image = turned_upright(image)
    if image.mode.startswith(("I", "F")):
        image = _greyscale_of_wide(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba)
    return image.convert("RGB")


def _greyscale_of_wide(image: Image.Image) -> Image.Image:
    """One-channel image of more than 8 bits -> 8 bits; Pillow's own conversion would clip at 255.

    Only `I;16` says how bright white is. The other modes may hold anything: 255, 65535, or their largest value.
    """
    values = np.nan_to_num(np.asarray(image, dtype=np.float64))
    brightest = float(values.max(initial=0.0))
    whites = (_WORD_MAX,) if image.mode.startswith("I;16") else (_BYTE_MAX, _WORD_MAX, brightest)
    largest = next(white for white in whites if white >= min(brightest, whites[-1]))
    return Image.fromarray(np.clip(values / largest * _BYTE_MAX, 0, _BYTE_MAX).astype(np.uint8))
