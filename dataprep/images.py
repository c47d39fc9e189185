"""Opening, padding, storing and linking pictures."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from PIL import Image

from aura.errors import DataError
from aura.pictures import turned_upright


def open_rgb(path: Path, *, upright: bool = False, draft_px: int | None = None) -> Image.Image:
    """The whole picture, decoded.

    Args:
        upright: turn it as its EXIF orientation says.
        draft_px: a JPEG may be decoded at a fraction of its size, no side below this; much faster for large photos.

    Raises:
        DataError: missing, truncated, or no picture; the message holds the file name only.
    """
    try:
        with Image.open(path) as opened:
            if draft_px is not None:
                opened.draft("RGB", (draft_px, draft_px))
            return (turned_upright(opened) if upright else opened).convert("RGB")
    except FileNotFoundError:
        raise DataError(f"picture {path.name} is missing") from None
    except (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError) as error:
        raise DataError(f"picture {path.name} is not readable ({error})") from error


def square(image: Image.Image, side_px: int, margin: float = 0.0) -> Image.Image:
    """The picture in the middle of a white square, scaled; `margin` is a part of its long side left free all around."""
    side = max(1, round(max(image.size) * (1 + 2 * margin)))
    canvas = Image.new("RGB", (side, side), "white")
    canvas.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    # Lanczos rings around the hard edges of cut-outs that are enlarged.
    filter_ = Image.Resampling.LANCZOS if side >= side_px else Image.Resampling.BICUBIC
    return canvas.resize((side_px, side_px), filter_)


def link_or_copy(source: Path, target: Path) -> None:
    """Hard link where the file system can, copy elsewhere. Only for files that are replaced, never written in place."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
