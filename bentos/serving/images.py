"""Images that callers send: bytes of a file in, a checked RGB image out."""

from __future__ import annotations

import io
import warnings

from PIL import Image, UnidentifiedImageError

from aura.errors import InvalidRequestError
from aura.pictures import upright_rgb
from bentos.serving.settings import ServingSettings

FORMATS = ("JPEG", "PNG", "WEBP")


def decode(content: bytes, limits: ServingSettings, where: str = "image") -> Image.Image:
    """Decode an image file, upright (EXIF) and RGB.

    Raises:
        InvalidRequestError: empty, too large, not an image, or broken; `where` names the field.
    """
    if not content:
        raise InvalidRequestError(f"{where} is empty", hint=f"send the bytes of a {', '.join(FORMATS)} file")
    refuse_large(len(content), limits, where)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below is stricter
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        if image.width * image.height > limits.max_image_pixels:
            raise InvalidRequestError(
                f"{where} has {image.width} x {image.height} pixels; at most {limits.max_image_pixels} are allowed",
                hint="scale it down first",
            )
        return upright_rgb(image)
    except Image.DecompressionBombError as error:  # Pillow's own limit comes before ours and is never below it
        raise InvalidRequestError(
            f"{where} has far too many pixels; at most {limits.max_image_pixels} are allowed",
            hint="scale it down first",
        ) from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise InvalidRequestError(
            f"{where} is not a readable {', '.join(FORMATS)} picture", hint="check that the whole file was sent"
        ) from error


def refuse_large(size: int | None, limits: ServingSettings, where: str = "image") -> None:
    """Refuse by size alone, before anything is decoded. `bentos.serving.middleware` bounds what is received at all.

    Raises:
        InvalidRequestError: too large.
    """
    if size is not None and size > limits.max_image_bytes:
        raise InvalidRequestError(
            f"{where} has {size} bytes; at most {limits.max_image_bytes} are allowed", hint="scale it down first"
        )
