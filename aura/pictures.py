"""The one way to read a picture file, and to make any picture an upright RGB picture: for imports, training and serving.

A file that cannot be read ends in one kind of error, whatever is wrong with it. The memory that reading takes is bounded by
the limits: sizes are checked before a pixel is decoded, and a picture that is wanted small is reduced while it is decoded
(JPEG) or before it is copied (every other format).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import pi_heif
from PIL import (
    AvifImagePlugin,
    ExifTags,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from aura.errors import DataError

FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "HEIF")
"""What cameras, phones and web pages give. HEIF includes Apple's HEIC."""
_READERS = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin, AvifImagePlugin)
"""Pillow's own readers of `FORMATS`, imported: else it imports all of its fifty at a file that is neither JPEG nor PNG."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif"})
"""Ends of the names of such files, in lower case."""
MAX_PIXELS = 178_956_970
"""Pillow itself opens nothing larger."""
MAX_SIDE_PX = 20_000
"""A panorama has fewer; rows and columns cost memory and time of their own, however few pixels there are in them."""

_BYTE_MAX, _WORD_MAX = 255.0, 65535.0
_REDUCTIONS = (8, 4, 2, 1)
"""libjpeg decodes at these fractions."""
_LIE_DOWN = (5, 6, 7, 8)
"""EXIF orientations that swap width and height."""
_BAND_PIXELS = 1 << 20


class PictureError(DataError):
    """A picture file is missing, damaged, or no picture."""

    code = "invalid_picture"


class PictureTooLargeError(PictureError):
    """A picture has more pixels, or longer sides, than are allowed."""

    code = "picture_too_large"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture that was read.

    Attributes:
        image: RGB; reduced when that was asked for.
        width_px, height_px: size of the whole picture, turned as `image` is.
    """

    image: Image.Image
    width_px: int
    height_px: int


def read_picture(
    file: Path | BinaryIO,
    name: str,
    *,
    upright: bool = True,
    least_px: int | None = None,
    max_pixels: int = MAX_PIXELS,
    max_side_px: int = MAX_SIDE_PX,
) -> Picture:
    """The picture in a file, decoded, in RGB; see `upright_rgb`.

    Args:
        name: what errors call it.
        upright: turn it as its EXIF orientation says.
        least_px: the picture may come at 1/2, 1/4 or 1/8 of its size, its long side no shorter than this.
        max_pixels: limit on width times height.
        max_side_px: limit on width, and on height.

    Raises:
        PictureTooLargeError: it is over a limit; found in its header, before pixels are decoded.
        PictureError: the file is missing, truncated, damaged, or in none of `FORMATS`.
    """
    _register_formats()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limits below are stricter
            opened = Image.open(file, formats=FORMATS)
        with opened:
            _refuse_large(opened, name, max_pixels, max_side_px)
            size = opened.size
            if (factor := _reduction(opened, least_px)) > 1:
                opened.draft(None, (max(1, size[0] // factor), max(1, size[1] // factor)))
            image = _in_plain_channels(opened)
            if (factor := _reduction(image, least_px)) > 1:
                image = image.reduce(factor)
            if upright:
                size = size[::-1] if image.getexif().get(ExifTags.Base.Orientation) in _LIE_DOWN else size
                image = turned_upright(image)
            return Picture(image=_on_white(image), width_px=size[0], height_px=size[1])
    except PictureError:
        raise
    except FileNotFoundError:
        raise PictureError(f"{name} is missing") from None
    except Image.DecompressionBombError as error:  # Pillow's own limit comes before ours and is never below it
        raise PictureTooLargeError(
            f"{name} has far too many pixels; at most {max_pixels} are allowed", hint="scale it down first"
        ) from error
    except Exception as error:  # Pillow's readers let errors of a dozen kinds escape when a file is damaged
        raise PictureError(f"{name} is not readable ({_reason(error)})", hint="bring the file again") from error


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
    return _on_white(_in_plain_channels(turned_upright(image)))


def scaled_to_fit(photo: Image.Image, width_px: int, height_px: int) -> Image.Image:
    """Photo scaled without distortion to the largest size that fits; bilinear with antialiasing, as a detector's input is made.

    A photo that has that size already stays as it is, so that fitting twice is fitting once.
    """
    scale = min(width_px / photo.width, height_px / photo.height)
    width = min(width_px, max(1, round(photo.width * scale)))
    height = min(height_px, max(1, round(photo.height * scale)))
    return photo.resize((width, height), Image.Resampling.BILINEAR)


@lru_cache(maxsize=1)
def _register_formats() -> None:
    """Tell Pillow about HEIF. A thread per picture: those who read many at once count processes, not threads."""
    pi_heif.register_heif_opener(thumbnails=False, depth_images=False, aux_images=False, decode_threads=1)
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def _refuse_large(image: Image.Image, name: str, max_pixels: int, max_side_px: int) -> None:
    if image.width * image.height > max_pixels:
        raise PictureTooLargeError(
            f"{name} has {image.width} x {image.height} pixels; at most {max_pixels} are allowed",
            hint="scale it down first",
        )
    if max(image.size) > max_side_px:
        raise PictureTooLargeError(
            f"{name} has {image.width} x {image.height} pixels; a side may have at most {max_side_px}",
            hint="scale it down first",
        )


def _reduction(image: Image.Image, least_px: int | None) -> int:
    """Largest factor by which the picture may be reduced."""
    return 1 if least_px is None else next((f for f in _REDUCTIONS if max(image.size) // f >= least_px), 1)


def _in_plain_channels(image: Image.Image) -> Image.Image:
    """The decoded picture as L, RGB or RGBA, of 8 bits each; its EXIF block stays."""
    if image.mode.startswith(("I", "F")):
        return _greyscale_of_wide(image)
    if image.has_transparency_data:
        return image.convert("RGBA")
    if image.mode in ("L", "RGB"):
        image.load()
        return image
    return image.convert("RGB")


def _on_white(image: Image.Image) -> Image.Image:
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, (255, 255, 255, 255)), image)
    return image.convert("RGB")


def _greyscale_of_wide(image: Image.Image) -> Image.Image:
    """One-channel image of more than 8 bits -> 8 bits; Pillow's own conversion would clip at 255.

    Only `I;16` says how bright white is. The other modes may hold anything: 255, 65535, or their largest value.
    """
    image.load()
    rows = max(1, _BAND_PIXELS // image.width)
    tops = range(0, image.height, rows)

    def band(top: int) -> npt.NDArray[np.float64]:
        # In bands: eight bytes per pixel of a whole picture would be many times its own size.
        box = (0, top, image.width, min(top + rows, image.height))
        return np.nan_to_num(np.asarray(image.crop(box), dtype=np.float64))

    white = _WORD_MAX
    if not image.mode.startswith("I;16"):
        brightest = max(float(band(top).max(initial=0.0)) for top in tops)
        white = next(white for white in (_BYTE_MAX, _WORD_MAX, brightest) if white >= brightest)
    grey = Image.new("L", image.size)
    for top in tops:
        scaled = np.clip(band(top) / white * _BYTE_MAX, 0, _BYTE_MAX).astype(np.uint8)
        grey.paste(Image.fromarray(scaled), (0, top))
    grey.info = {key: value for key, value in image.info.items() if key == "exif"}
    return grey


def _reason(error: Exception) -> str:
    """The error without the path, which is nobody's business but the caller's."""
    if isinstance(error, UnidentifiedImageError):
        return f"not a {', '.join(FORMATS)} file"
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
