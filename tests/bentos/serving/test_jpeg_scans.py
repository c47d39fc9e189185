"""JPEGs of hundreds of scans are refused by their markers; what cameras and programs write is not."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from aura.errors import InvalidRequestError
from benchmarks.hostile_uploads import FILES
from bentos.serving.images import decode
from bentos.serving.jpeg_scans import MAX_SCANS, refuse_many_scans
from bentos.serving.settings import ServingSettings

NOISE = Image.effect_noise((200, 150), 80).convert("RGB")


def jpeg(**options: object) -> bytes:
    file = io.BytesIO()
    NOISE.save(file, "JPEG", **options)
    return file.getvalue()


def test_a_jpeg_of_hundreds_of_scans_is_refused() -> None:
    bomb = FILES["JPEG of hundreds of scans"](random.Random(1))
    with pytest.raises(InvalidRequestError, match="scans"):
        decode(bomb, ServingSettings())


def test_the_limit_is_the_number_of_scans() -> None:
    whole = jpeg(progressive=True)
    last = whole.rindex(b"\xff\xda")
    scans = whole.count(b"\xff\xda")
    refuse_many_scans(whole[:last] + whole[last:-2] * (1 + MAX_SCANS - scans) + whole[-2:], "image")
    with pytest.raises(InvalidRequestError):
        refuse_many_scans(whole[:last] + whole[last:-2] * (2 + MAX_SCANS - scans) + whole[-2:], "image")


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"quality": 100}, {"exif": b"Exif\0\0" + b"\xff\xda" * 500}]
)
def test_what_programs_write_is_not_refused(options: dict[str, object]) -> None:
    file = jpeg(**options)
    refuse_many_scans(file, "image")
    # Phones put a film behind a picture, in which the bytes of a marker stand by chance.
    refuse_many_scans(file + random.Random(1).randbytes(10_000_000), "image")
    refuse_many_scans(file + b"\xff\xda" * 500, "image")


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xda", b"\x89PNG" + b"\xff\xda" * 500]
)
def test_other_files_are_left_to_the_decoder(content: bytes) -> None:
    refuse_many_scans(content, "image")
