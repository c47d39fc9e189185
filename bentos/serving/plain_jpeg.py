"""Is a file a JPEG of the kind that cannot take long: one pass over the pixels, whatever else the file holds?

Such a file is decoded in a thread of the service. Everything else goes to a process that can be ended: progressive JPEGs, whose
thousand passes over a small picture fit into a few kilobytes, those with a scan per colour, which libjpeg treats alike, and every
other format. The markers are ISO/IEC 10918-1's (ITU-T T.81, table B.1).
"""

from __future__ import annotations

from typing import Literal

_START = b"\xff\xd8"
_SEQUENTIAL = (0xC0, 0xC1)
"""Start of a frame that is decoded in one pass: baseline, and extended with Huffman codes."""
_SCAN = 0xDA
_TABLES = (0xC4, 0xDB, 0xDD, 0xFE)
"""Huffman and quantisation tables, restart interval, comment."""
_APPLICATION = range(0xE0, 0xF0)
_EXIF, _SEVERAL_PICTURES = 0xE1, (0xE2, b"MPF\0")
_MAX_SEGMENTS = 100
"""Before the pixels; Pillow reads them in Python, one by one."""
_MAX_EXIF_TAGS = 200
"""A camera writes fewer than 40 at the top level, and each may claim 64 kB."""


def is_plain_jpeg(content: bytes, max_pixels: int) -> bool:
    """Whether a file is a JPEG of at most `max_pixels` whose first scan holds all of its colours, in one pass."""
    if not content.startswith(_START):
        return False
    at, colours = len(_START), 0
    for _ in range(_MAX_SEGMENTS):
        head = content[at : at + 2]
        if len(head) < 2 or head[0] != 0xFF:
            return False
        marker, length = head[1], int.from_bytes(content[at + 2 : at + 4], "big")
        body = content[at + 4 : at + 2 + length]
        if len(body) < max(1, length - 2):
            return False
        if marker == _SCAN:
            return colours > 0 and body[0] == colours
        if marker in _SEQUENTIAL and len(body) >= 6 and _pixels(body) <= max_pixels:
            colours = body[5]
        elif not (marker in _TABLES or (marker in _APPLICATION and _is_short_work(marker, body))):
            return False
        at += 2 + length
    return False


def _pixels(frame: bytes) -> int:
    return int.from_bytes(frame[1:3], "big") * int.from_bytes(frame[3:5], "big")


def _is_short_work(marker: int, body: bytes) -> bool:
    """Whether Pillow reads an application's segment at once: it lists few EXIF tags, and no further pictures."""
    if marker == _EXIF and body.startswith(b"Exif\0\0"):
        return _exif_tags(body[6:]) <= _MAX_EXIF_TAGS
    return (marker, body[:4]) != _SEVERAL_PICTURES


def _exif_tags(tiff: bytes) -> int:
    """Number of tags at the top level of an EXIF block."""
    order: Literal["little", "big"] = "little" if tiff.startswith(b"II") else "big"
    first = int.from_bytes(tiff[4:8], order)
    return int.from_bytes(tiff[first : first + 2], order)
