"""What is decoded in a thread of the service is a JPEG of one pass, and nothing that could take longer."""

from __future__ import annotations

import asyncio
import os
import threading

import pytest
from PIL import Image

from aura.pictures import Picture
from bentos.serving.decoders import ImageDecoder
from bentos.serving.images import Box, decode
from bentos.serving.plain_jpeg import is_plain_jpeg
from bentos.serving.settings import ServingSettings
from tests.pictures import HEIC, as_bytes

PHOTO = Image.effect_noise((60, 40), 50).convert("RGB")
BASELINE = as_bytes(PHOTO, "JPEG")
MANY = 10_000_000


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(*segments: bytes) -> bytes:
    """The photo with segments behind its start."""
    return BASELINE[:2] + b"".join(segments) + BASELINE[2:]


def exif(tags: int) -> bytes:
    return segment(0xE1, b"Exif\0\0" + b"II*\0" + (8).to_bytes(4, "little") + tags.to_bytes(2, "little") + bytes(100))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_what_a_camera_writes_is_plain(mode: str) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    assert is_plain_jpeg(as_bytes(PHOTO.convert(mode), "JPEG", exif=tags, quality=90), MANY)
    assert is_plain_jpeg(with_segments(exif(30), segment(0xFE, b"a comment")), MANY)


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("progressive", as_bytes(PHOTO, "JPEG", progressive=True)),
        ("another format", as_bytes(PHOTO)),
        ("a phone's", HEIC),
        ("nothing", b""),
        ("cut before its pixels", BASELINE[:200]),
        ("cut in a length", BASELINE[:4]),
        ("many segments", with_segments(*[segment(0xFE, b"x")] * 200)),
        ("many tags", with_segments(exif(5000))),
        ("several pictures", with_segments(segment(0xE2, b"MPF\0II*\0"))),
        ("arithmetic coding", BASELINE.replace(b"\xff\xc0", b"\xff\xc9", 1)),
        ("an empty segment", with_segments(b"\xff\xfe\0\2")),
        ("a length of nothing", with_segments(b"\xff\xfe\0\0")),
    ],
)
def test_what_may_take_longer_is_not(what: str, content: bytes) -> None:
    assert not is_plain_jpeg(content, MANY), what


def test_a_scan_of_one_colour_is_one_of_several_passes() -> None:
    at = BASELINE.index(b"\xff\xda")
    assert BASELINE[at + 4] == 3
    one_colour = bytearray(BASELINE)
    one_colour[at + 4] = 1
    assert not is_plain_jpeg(bytes(one_colour), MANY)


def test_too_many_pixels_are_not_plain() -> None:
    assert is_plain_jpeg(BASELINE, 60 * 40)
    assert not is_plain_jpeg(BASELINE, 60 * 40 - 1)


def read(content: bytes, limits: ServingSettings, where: str, box: Box | None) -> Picture:
    """Decodes, and tells the process and the thread by the size."""
    picture = decode(content, limits, where, box)
    name = threading.current_thread().name
    return Picture(image=picture.image, width_px=os.getpid(), height_px=1 if name.startswith("decoder") else 2)


def test_a_plain_file_is_decoded_in_a_thread_and_another_in_a_process() -> None:
    decoder = ImageDecoder(ServingSettings(), read)

    async def both() -> list[tuple[int, int]]:
        contents = (BASELINE, as_bytes(PHOTO, "JPEG", progressive=True))
        sent = await asyncio.gather(*(decoder.decode(content) for content in contents))
        return [(image.width_px, image.height_px) for image in sent]

    (own, thread), (other, process) = asyncio.run(both())
    decoder.close()
    assert (own, thread) == (os.getpid(), 1)
    assert (other != os.getpid(), process) == (True, 2)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_photo_is_scaled_down_to_fit_a_box_and_never_up(progressive: bool) -> None:
    photo = as_bytes(Image.effect_noise((900, 1200), 50).convert("RGB"), "JPEG", progressive=progressive)
    decoder = ImageDecoder(ServingSettings())

    async def sizes() -> list[tuple[int, int, int, int]]:
        sent = [await decoder.decode(photo, box=box) for box in ((100, 120), (3000, 3000))]
        return [(image.pixels.width_px, image.pixels.height_px, image.width_px, image.height_px) for image in sent]

    assert asyncio.run(sizes()) == [(90, 120, 900, 1200), (900, 1200, 900, 1200)]
    decoder.close()
