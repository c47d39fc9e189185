"""Uploads that callers should not send: files that are no pictures, or far too much of one, and broken forms."""

from __future__ import annotations

import functools
import io
import itertools
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

FORM = "multipart/form-data"
_BOUNDARY = "aura-boundary"


@dataclass(frozen=True, kw_only=True)
class HostileRequest:
    """A request of the kind that its name says.

    Attributes:
        body: as it goes over the wire.
    """

    kind: str
    body: bytes = field(repr=False)
    content_type: str | None


def hostile_uploads(seed: int, field_name: str = "image") -> Iterator[HostileRequest]:
    """Forms with files that are broken, huge when decoded, or something else; and forms that are broken themselves.

    Endless, the same for a seed. The kinds take turns, so that any number of them holds each kind equally often.
    """
    rng = random.Random(seed)
    makers: list[Callable[[], HostileRequest]] = [
        *(_file_form(name, make, rng, field_name) for name, make in FILES.items()),
        *(_broken_form(name, make, rng, field_name) for name, make in _FORMS.items()),
    ]
    for make in itertools.cycle(makers):
        yield make()


def picture(rng: random.Random, form: str, **options: Any) -> bytes:
    """A small picture of noise as the bytes of a file."""
    file = io.BytesIO()
    side = rng.randint(8, 64)
    Image.frombytes("RGB", (side, side), rng.randbytes(3 * side * side)).save(file, form, **options)
    return file.getvalue()


def _png(width: int, height: int, rows: bytes, *, bits: int = 8, colour: int = 2, extra: bytes = b"") -> bytes:
    """A PNG file that claims this size, whatever its rows hold."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + extra + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@functools.cache
def _zeros(count: int) -> bytes:
    """Compressed zeros, made in pieces."""
    squeeze = zlib.compressobj(9)
    return (
        b"".join(squeeze.compress(bytes(min(1 << 20, count - at))) for at in range(0, count, 1 << 20)) + squeeze.flush()
    )


def _truncated(rng: random.Random) -> bytes:
    file = picture(rng, rng.choice(("JPEG", "PNG", "WEBP", "AVIF")))
    return file[: rng.randrange(1, len(file))]


def _flipped(rng: random.Random) -> bytes:
    file = bytearray(picture(rng, rng.choice(("JPEG", "PNG", "WEBP", "AVIF"))))
    for _ in range(rng.randint(1, 40)):
        file[rng.randrange(len(file))] = rng.randrange(256)
    return bytes(file)


def _many_scans(rng: random.Random) -> bytes:
    """A progressive JPEG whose last scan is repeated: each costs a pass over the whole picture."""
    file = io.BytesIO()
    Image.new("RGB", (1500, 1500), (rng.randrange(256), 0, 0)).save(file, "JPEG", progressive=True)
    whole = file.getvalue()
    last = whole.rindex(b"\xff\xda")
    return whole[:last] + whole[last:-2] * 400 + whole[-2:]


def _frames(rng: random.Random) -> bytes:
    file = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), (number, rng.randrange(256), 0)) for number in range(100)]
    frames[0].save(file, rng.choice(("PNG", "WEBP")), save_all=True, append_images=frames[1:])
    return file.getvalue()


FILES: dict[str, Callable[[random.Random], bytes]] = {
    "nothing": lambda _: b"",
    "noise": lambda rng: rng.randbytes(rng.randint(1, 20_000)),
    "zeros": lambda rng: bytes(rng.randint(1, 2_000_000)),
    "text": lambda rng: b"this is no picture " * rng.randint(1, 1000),
    "truncated picture": _truncated,
    "flipped bytes": _flipped,
    "only a header": lambda rng: picture(rng, rng.choice(("JPEG", "PNG", "WEBP", "AVIF")))[: rng.randint(2, 40)],
    "script in SVG": lambda _: b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
    "entities in SVG": lambda _: (
        b'<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><svg><text>&b;</text></svg>'
    ),
    "GIF that is script": lambda rng: b"GIF89a/*" + rng.randbytes(64) + b"*/=alert(1)//",
    "JPEG that is an archive": lambda rng: picture(rng, "JPEG") + b"PK\x03\x04" + rng.randbytes(500),
    "PNG that is a page": lambda rng: picture(rng, "PNG") + b"<html><script>alert(1)</script></html>",
    "PDF": lambda rng: b"%PDF-1.7\n" + rng.randbytes(1000),
    "TIFF": lambda rng: picture(rng, "TIFF"),
    "BMP": lambda rng: picture(rng, "BMP"),
    "PostScript": lambda _: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n",
    "bomb of 400 million pixels": lambda _: _png(20_000, 20_000, _zeros(50_020_000), bits=1, colour=0),
    "bomb of one long line": lambda _: _png(39_000_000, 1, _zeros(39_000_001), colour=0),
    "size that no memory holds": lambda rng: _png(2**31 - 1, 2**31 - 1, zlib.compress(rng.randbytes(100))),
    "no size": lambda _: _png(0, 0, zlib.compress(b"")),
    "fewer rows than it says": lambda _: _png(5000, 5000, _zeros(100)),
    "more rows than it says": lambda _: _png(1, 1, _zeros(100_000_000)),
    "bomb in a comment": lambda _: _png(1, 1, zlib.compress(bytes(4)), extra=_chunk(b"zTXt", b"a\0\0" + _zeros(90_000_000))),
    "bomb in a colour profile": lambda _: _png(
        1, 1, zlib.compress(bytes(4)), extra=_chunk(b"iCCP", b"a\0\0" + _zeros(90_000_000))
    ),
    "colour profile of noise": lambda rng: picture(rng, "JPEG", icc_profile=rng.randbytes(50_000)),
    "EXIF of noise": lambda rng: picture(rng, "JPEG", exif=b"Exif\0\0" + rng.randbytes(10_000)),
    "JPEG of hundreds of scans": _many_scans,
    "a hundred frames": _frames,
    "JPEG that claims 65,535 x 65,535": lambda rng: _jpeg_of_size(picture(rng, "JPEG"), 65_535, 65_535),
}  # fmt: skip


def _jpeg_of_size(file: bytes, width: int, height: int) -> bytes:
    frame = file.index(b"\xff\xc0")
    return file[: frame + 5] + struct.pack(">HH", height, width) + file[frame + 9 :]


def _part(name: str, content: bytes, filename: str | None = "a.jpg", content_type: str = "image/jpeg") -> bytes:
    file = "" if filename is None else f'; filename="{filename}"'
    head = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\nContent-Type: {content_type}\r\n\r\n'
    )
    return head.encode("utf-8", "surrogateescape") + content + b"\r\n"


_END = f"--{_BOUNDARY}--\r\n".encode()

_FORMS: dict[str, Callable[[random.Random, str], bytes]] = {
    "no part": lambda _rng, _name: _END,
    "no end": lambda rng, name: _part(name, picture(rng, "JPEG")),
    "another boundary": lambda rng, _name: b"--other\r\n\r\n" + rng.randbytes(100),
    "part without a head": lambda rng, _name: f"--{_BOUNDARY}\r\n\r\n".encode() + rng.randbytes(50) + b"\r\n" + _END,
    "two files": lambda rng, name: _part(name, picture(rng, "JPEG")) * 2 + _END,
    "a text in place of the file": lambda _rng, name: _part(name, b"hello", filename=None) + _END,
    "another field": lambda rng, _name: _part("picture", picture(rng, "JPEG")) + _END,
    "a field without a name": lambda rng, _name: _part("", picture(rng, "JPEG")) + _END,
    "a hundred and one fields": lambda _rng, _name: _part("x", b"y", filename=None) * 101 + _END,
    "a path as the file's name": lambda _rng, name: _part(name, b"x", "../../../../etc/passwd") + _END,
    "ten thousand characters of name": lambda _rng, name: _part(name, b"x", "a" * 10_000) + _END,
    "a head of a megabyte": lambda _rng, name: _part(name, b"x", content_type="x" * 1_000_000) + _END,
    "ends of lines in a name": lambda _rng, name: _part(f"{name}\r\nX-Evil: 1", b"x") + _END,
    "a form in a form": lambda _rng, name: _part(name, _part(name, b"x") + _END, content_type=FORM) + _END,
    "noise in place of a form": lambda rng, _name: rng.randbytes(5000),
}


def _file_form(
    kind: str, make: Callable[[random.Random], bytes], rng: random.Random, name: str
) -> Callable[[], HostileRequest]:
    return lambda: HostileRequest(
        kind=kind, body=_part(name, make(rng)) + _END, content_type=f"{FORM}; boundary={_BOUNDARY}"
    )


def _broken_form(
    kind: str, make: Callable[[random.Random, str], bytes], rng: random.Random, name: str
) -> Callable[[], HostileRequest]:
    return lambda: HostileRequest(
        kind=kind, body=make(rng, name), content_type=f"{FORM}; boundary={_BOUNDARY}" if rng.random() < 0.9 else FORM
    )
