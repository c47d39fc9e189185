"""Finding, opening, padding, storing and linking pictures."""

from __future__ import annotations

import hashlib
import os
import shutil
import unicodedata
from collections.abc import Callable, Collection
from pathlib import Path

from PIL import Image

from aura.pictures import SUFFIXES, read_picture

_MAX_STEM_BYTES = 100


def files_by_stem(
    folder: Path, on_twin: Callable[[str], None], suffixes: Collection[str] = SUFFIXES
) -> dict[str, Path]:
    """Files of a folder by their `normalised` name without its end, ordered by name.

    Ends in any letter case count. Hidden files do not: macOS leaves a `._` twin beside each file that it copies.

    Args:
        on_twin: called with the name of each file whose stem another file has already.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in suffixes and not path.name.startswith("."):
            stem = normalised(path.stem)
            if stem in found:
                on_twin(path.name)
            else:
                found[stem] = path
    return found


def normalised(name: str) -> str:
    """A name with each accented letter as one character: macOS writes some of them as two."""
    return unicodedata.normalize("NFC", name)


def stored_name(stem: str) -> str:
    """The name of an original's copies and rows: its own stem, or one made from it where it is not plain, short text.

    File systems take any bytes as a name; a table in UTF-8 does not, nor does a longer name with a prefix.
    """
    raw = os.fsencode(stem)
    # Bytes that are not UTF-8 become lone surrogates, which are not printable.
    if stem.isprintable() and len(raw) <= _MAX_STEM_BYTES:
        return stem
    return f"file-{hashlib.sha256(raw).hexdigest()[:16]}"


def open_rgb(path: Path, *, upright: bool = False, draft_px: int | None = None) -> Image.Image:
    """The whole picture, decoded.

    Args:
        upright: turn it as its EXIF orientation says.
        draft_px: it may be decoded at a fraction of its size, its long side no shorter than this; much faster for large photos.

    Raises:
        DataError: missing, truncated, or no picture; the message holds the file name only.
    """
    return read_picture(path, f"picture {path.name}", upright=upright, least_px=draft_px).image


def upright_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, upright; the whole file is decoded, at the smallest scale, to see that it can be.

    Raises:
        DataError: as `open_rgb`.
    """
    picture = read_picture(path, f"picture {path.name}", least_px=1)
    return picture.width_px, picture.height_px


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
