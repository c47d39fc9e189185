"""The photo with what was found in it: a box per garment, in its category's colour, with its name and score."""

from __future__ import annotations

import io
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from bentos.visual_analysis.messages import Garment
from inference.category_colours import CATEGORY_COLOURS

SIDE_PX = 1024
"""Long side of the picture at most."""
_QUALITY = 88
_LINE, _TEXT = 1 / 250, 1 / 42
"""Width of a line, and height of a text, as shares of the long side."""


def annotated_jpeg(photo: Image.Image, garments: Sequence[Garment]) -> bytes:
    """A JPEG of the photo with the boxes of its garments.

    Args:
        photo: RGB, upright.
        garments: with boxes in pixels of `photo`, most certain first.
    """
    drawn = photo.copy()
    drawn.thumbnail((SIDE_PX, SIDE_PX))
    across, down = drawn.width / photo.width, drawn.height / photo.height
    pen = ImageDraw.Draw(drawn)
    line = max(2, round(max(drawn.size) * _LINE))
    font = ImageFont.load_default(size=max(10, round(max(drawn.size) * _TEXT)))
    # The most certain are drawn last, over the others.
    for garment in reversed(garments):
        x0, y0, x1, y1 = garment.box
        corner = (x0 * across, y0 * down)
        pen.rectangle((*corner, max(x1 * across, corner[0]), max(y1 * down, corner[1])),
                      outline=CATEGORY_COLOURS[garment.category], width=line)  # fmt: skip
    taken: list[tuple[float, float, float, float]] = []
    for garment in garments:
        _write(pen, drawn.size, font, garment, (garment.box[0] * across, garment.box[1] * down), taken)
    buffer = io.BytesIO()
    drawn.save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


def _write(
    pen: ImageDraw.ImageDraw,
    size: tuple[int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    garment: Garment,
    corner: tuple[float, float],
    taken: list[tuple[float, float, float, float]],
) -> None:
    """Write the name at a corner of the box, inside of the picture, below the names that stand there already."""
    text = f"{garment.category.value} {garment.score:.2f}"
    left, top, right, bottom = pen.textbbox((0, 0), text, font=font)
    pad = (bottom - top) / 4
    width, height = right - left + 2 * pad, bottom - top + 2 * pad
    x = max(0.0, min(corner[0], size[0] - width))
    y = max(0.0, min(corner[1], size[1] - height))
    while any(x < x1 and x0 < x + width and y < y1 and y0 < y + height for x0, y0, x1, y1 in taken):
        if y + 2 * height > size[1]:
            break
        y += height
    taken.append((x, y, x + width, y + height))
    pen.rectangle((x, y, x + width, y + height), fill=CATEGORY_COLOURS[garment.category])
    pen.text((x + pad - left, y + pad - top), text, fill="white", font=font)
