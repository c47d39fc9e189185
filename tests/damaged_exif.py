"""Photos of 30 x 20 px, taken sideways, whose EXIF block may be damaged anywhere: a strategy for hypothesis."""

from __future__ import annotations

import io

from hypothesis import strategies as st
from PIL import Image


def _damaged(damage: list[tuple[int, int]]) -> bytes:
    exif = Image.Exif()
    exif[0x0100], exif[0x010F], exif[0x0112], exif[0x011A] = 30, "maker", 6, 72.0
    stream = io.BytesIO()
    Image.new("RGB", (30, 20)).save(stream, "JPEG", exif=exif)
    content = bytearray(stream.getvalue())
    start = content.index(b"Exif")
    for place, byte in damage:
        content[start + 6 + place] = byte
    return bytes(content)


DAMAGED_JPEGS = st.lists(st.tuples(st.integers(0, 67), st.integers(0, 14)), min_size=1, max_size=3).map(_damaged)
"""Types of values and lengths are small numbers, so small bytes do the most damage."""
