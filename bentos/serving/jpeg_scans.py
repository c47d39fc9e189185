"""JPEGs whose pixels come in more passes than any program writes: a few kilobytes that take a processor for seconds.

A progressive JPEG has about ten scans, each a pass over the whole picture; the format allows any number, and libjpeg obeys. Its
authors leave the limit to the application ("Two Issues with the JPEG Standard", libjpeg-turbo). Markers: ITU-T T.81, table B.1.
"""

from __future__ import annotations

import re

from aura.errors import InvalidRequestError

MAX_SCANS = 50
_START, _SCAN, _END = b"\xff\xd8", 0xDA, 0xD9
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""In a scan: neither a stuffed 0xFF nor a restart."""


def refuse_many_scans(content: bytes, where: str) -> None:
    """Refuse a JPEG of more than `MAX_SCANS` scans; other files, and broken ones, are left to the decoder.

    Raises:
        InvalidRequestError: `where` names the field.
    """
    scans, at = 0, len(_START)
    if not content.startswith(_START):
        return
    while (found := _MARKER.search(content, at)) is not None:
        marker, at = content[found.start() + 1], found.end()
        if marker == _END:
            return
        at += int.from_bytes(content[at : at + 2], "big")
        scans += marker == _SCAN
        if scans > MAX_SCANS:
            raise InvalidRequestError(
                f"{where} is a JPEG of more than {MAX_SCANS} scans", hint="save it again with another program"
            )
