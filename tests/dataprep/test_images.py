"""Damaged picture files of any format end in one kind of error; good ones are whole, upright and padded."""

from __future__ import annotations

import io
import random
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image

from aura.errors import DataError
from dataprep.images import link_or_copy, open_rgb, square
from tests.damaged_exif import DAMAGED_JPEGS


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_damage_is_only_ever_a_data_error(kind: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(noise).save(stream, kind)
    good, file, rng = stream.getvalue(), tmp_path / "photo.jpg", random.Random(1)
    refused = 0
    for attempt in range(120):
        content = bytearray(good)
        for _ in range(attempt % 3):
            content[rng.randrange(min(len(content), 400))] = rng.randrange(256)
        if attempt % 3 == 0:
            content = content[: len(content) * attempt // 120]
        file.write_bytes(content)
        try:
            open_rgb(file, upright=attempt % 2 == 0)
        except DataError:
            refused += 1
    assert refused > 10
    file.write_bytes(good[:30])
    with pytest.raises(DataError, match=r"photo\.jpg is not readable"):
        open_rgb(file)
    file.write_bytes(good)
    assert open_rgb(file).size == (32, 24)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@settings(max_examples=500)
@given(content=DAMAGED_JPEGS)
def test_whatever_the_exif_block_holds_a_picture_is_read_or_refused(content: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
        Path(file.name).write_bytes(content)
        with suppress(DataError):
            assert min(open_rgb(Path(file.name), upright=True).size) == 20


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"picture none\.jpg is missing"):
        open_rgb(tmp_path / "none.jpg")


def test_a_large_jpeg_may_be_decoded_smaller_but_not_too_small(tmp_path: Path) -> None:
    Image.new("RGB", (640, 480), "red").save(tmp_path / "large.jpg")
    assert open_rgb(tmp_path / "large.jpg").size == (640, 480)
    assert open_rgb(tmp_path / "large.jpg", draft_px=100).size == (160, 120)


def test_pictures_are_centred_on_white() -> None:
    pixels = np.asarray(square(Image.new("RGB", (100, 50), "black"), 50, margin=0.1)).astype(int)
    dark = np.argwhere(pixels.max(2) < 128)
    # 100 px in 120 px, so 41.7 x 20.8 of 50 px.
    assert dark.min(0).tolist() == [15, 4]
    assert dark.max(0).tolist() == [34, 45]
    assert pixels[0].min() > 250


def test_links_share_the_file(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("content")
    link_or_copy(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two").samefile(tmp_path / "one")
    # A name that is taken cannot be linked; copying replaces what it holds.
    (tmp_path / "three").write_text("old")
    link_or_copy(tmp_path / "one", tmp_path / "three")
    assert (tmp_path / "three").read_text() == "content"
