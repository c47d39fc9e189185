"""Images that callers send: bytes of a file in, a checked upright RGB image out. `bentos.serving.decoders` runs this."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

from aura.errors import InvalidRequestError
from aura.pictures import FORMATS, Picture, PictureError, PictureTooLargeError, read_picture, scaled_to_fit
from bentos.serving.jpeg_scans import refuse_many_scans
from bentos.serving.messages import RgbImage
from bentos.serving.settings import ServingSettings

Box = tuple[int, int]
"""Width and height in px of a canvas that an image is scaled down to fit."""
_KEPT_DETAIL = 2
"""A file is decoded at no less than this many times the box: its own reduction is coarser than the filter of the models."""


@dataclass(frozen=True, kw_only=True)
class SentImage:
    """An image as a caller sent it.

    Attributes:
        pixels: reduced where the image is larger than what was asked for.
        width_px, height_px: size of the whole upright image.
    """

    pixels: RgbImage
    width_px: int
    height_px: int

    @classmethod
    def of(cls, picture: Picture) -> SentImage:
        return cls(pixels=RgbImage.of(picture.image), width_px=picture.width_px, height_px=picture.height_px)

    def as_sent(self, box_xyxy_px: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        """A box in `pixels` -> the same box in the whole image."""
        across, down = self.width_px / self.pixels.width_px, self.height_px / self.pixels.height_px
        x0, y0, x1, y1 = box_xyxy_px
        return x0 * across, y0 * down, x1 * across, y1 * down


def decode(content: bytes, limits: ServingSettings, where: str = "image", box: Box | None = None) -> Picture:
    """Decode an image file: upright (EXIF), RGB, its long side at most `limits.decoded_side_px`.

    Args:
        box: scale a larger image down to fit it, as a detector does.

    Raises:
        InvalidRequestError: empty, too large, not an image, or broken; `where` names the field.
    """
    if not content:
        raise InvalidRequestError(f"{where} is empty", hint=f"send the bytes of a {', '.join(FORMATS)} file")
    refuse_large(len(content), limits, where)
    refuse_many_scans(content, where)
    try:
        picture = read_picture(
            io.BytesIO(content), where, least_px=_KEPT_DETAIL * max(box) if box else limits.decoded_side_px,
            max_pixels=limits.max_image_pixels, max_side_px=limits.max_image_side_px,
        )  # fmt: skip
    except PictureTooLargeError as error:
        raise InvalidRequestError(error.message, hint=error.hint) from error
    except PictureError as error:
        raise InvalidRequestError(
            f"{where} is not a readable {', '.join(FORMATS)} picture", hint="check that the whole file was sent"
        ) from error
    # A model sees fewer pixels than this, and a runner gets several images at once.
    if box is None:
        picture.image.thumbnail((limits.decoded_side_px, limits.decoded_side_px))
        return picture
    small = picture.image.width <= box[0] and picture.image.height <= box[1]
    return picture if small else replace(picture, image=scaled_to_fit(picture.image, *box))


def refuse_large(size: int | None, limits: ServingSettings, where: str = "image") -> None:
    """Refuse by size alone, before anything is decoded. `bentos.serving.middleware` bounds what is received at all.

    Raises:
        InvalidRequestError: too large.
    """
    if size is not None and size > limits.max_image_bytes:
        raise InvalidRequestError(
            f"{where} has {size} bytes; at most {limits.max_image_bytes} are allowed", hint="scale it down first"
        )
