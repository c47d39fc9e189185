"""One function reads every picture file: what it takes, what it refuses, and how much memory it needs."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aura.errors import DataError
from aura.paths import repo_root
from aura.pictures import FORMATS, PictureError, PictureTooLargeError, read_picture
from tests.pictures import HEIC, as_bytes, grey_png

_TURNED_RIGHT = 6


def read(content: bytes, **options: int | bool) -> Image.Image:
    return read_picture(io.BytesIO(content), "photo", **options).image  # type: ignore[arg-type]


def close_to(image: Image.Image, place: tuple[int, int], colour: tuple[int, int, int]) -> bool:
    return bool(np.abs(np.subtract(image.getpixel(place), colour)).max() < 30)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_a_sideways_photo_of_any_format_is_upright_rgb(kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = _TURNED_RIGHT
    photo = Image.new("RGB", (48, 32), (200, 30, 40))
    photo.paste((20, 60, 200), (24, 0, 48, 32))
    image = read(as_bytes(photo, kind, exif=exif))
    assert (image.mode, image.size) == ("RGB", (32, 48))
    assert close_to(image, (16, 5), (200, 30, 40))
    assert close_to(image, (16, 43), (20, 60, 200))


def test_a_photo_of_a_phone_is_read() -> None:
    image = read(HEIC)
    assert (image.mode, image.size) == ("RGB", (48, 32))
    assert close_to(image, (5, 16), (200, 30, 40))
    assert close_to(image, (43, 16), (20, 60, 200))


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_white_whatever_it_hides(mode: str) -> None:
    photo = Image.new("RGBA", (20, 10), (0, 0, 0, 0))
    photo.paste((0, 0, 0, 255), (10, 0, 20, 10))
    photo = photo.quantize() if mode == "P" else photo.convert(mode)
    image = read(as_bytes(photo, "PNG"))
    assert image.getpixel((2, 2)) == (255, 255, 255)
    assert image.getpixel((15, 5)) == (0, 0, 0)


@pytest.mark.parametrize(("level", "grey"), [(0, 0), (257 * 40, 40), (32768, 127), (65535, 255)])
def test_sixteen_bits_are_scaled(level: int, grey: int) -> None:
    assert read(grey_png(30, 2000, level)).getpixel((29, 1999)) == (grey,) * 3


def test_a_reduced_picture_knows_its_whole_size() -> None:
    exif = Image.Exif()
    exif[0x0112] = _TURNED_RIGHT
    for kind in ("JPEG", "PNG", "WEBP"):
        content = io.BytesIO(as_bytes(Image.new("RGB", (803, 402), "red"), kind, exif=exif))
        picture = read_picture(content, "photo", least_px=100)
        assert (picture.width_px, picture.height_px) == (402, 803)
        assert picture.image.size == (51, 101)
    assert read(HEIC, least_px=12).size == (12, 8)


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        ({"max_pixels": 100}, "photo has 40 x 30 pixels; at most 100 are allowed"),
        ({"max_side_px": 39}, "photo has 40 x 30 pixels; a side may have at most 39"),
    ],
)
def test_a_picture_over_a_limit_is_refused_by_its_header(limits: dict[str, int], complaint: str) -> None:
    # Cut after the header: no pixel could be decoded.
    content = as_bytes(Image.new("RGB", (40, 30)))[:60]
    with pytest.raises(PictureTooLargeError, match=complaint) as caught:
        read(content, **limits)
    assert caught.value.hint


def test_a_long_line_of_pixels_is_refused() -> None:
    with pytest.raises(PictureTooLargeError, match="1 x 30000 pixels; a side may have at most 20000"):
        read(grey_png(1, 30_000, 9, bits=8))


@pytest.mark.parametrize("content", [HEIC, *(as_bytes(Image.effect_noise((32, 24), 90), kind) for kind in FORMATS[:4])])
def test_damage_is_only_ever_one_kind_of_error(content: bytes) -> None:
    rng, complaints = random.Random(1), []
    for attempt in range(150):
        damaged = bytearray(content)
        for _ in range(attempt % 4):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        if attempt % 4 == 0:
            damaged = damaged[: len(damaged) * attempt // 150]
        try:
            assert read(bytes(damaged)).mode == "RGB"
        except PictureError as error:
            complaints.append(error.message)
    assert len(complaints) > 10
    assert all(complaint.startswith("photo ") for complaint in complaints)


def test_a_file_that_is_no_picture_makes_pillow_import_no_reader_that_nobody_needs() -> None:
    program = (
        "import io, sys; from aura.pictures import PictureError, read_picture\n"
        "try:\n    read_picture(io.BytesIO(b'no picture'), 'photo')\n"
        "except PictureError:\n    print('PIL.PdfImagePlugin' in sys.modules, 'PIL.WebPImagePlugin' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=repo_root(), capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"


def test_errors_of_the_file_system_are_of_the_same_kind(tmp_path: Path) -> None:
    for name in ("none.jpg", "x" * 300, "nul\0.jpg"):
        with pytest.raises(DataError, match=r"photo is (missing|not readable)"):
            read_picture(tmp_path / name, "photo")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(DataError, match="photo is not readable") as caught:
        read_picture(tmp_path / "folder.jpg", "photo")
    assert str(tmp_path) not in str(caught.value)


_IN_LITTLE_MEMORY = """
import psutil, resource, sys
from pathlib import Path
from aura.pictures import read_picture
small, large = map(Path, sys.argv[1:])
read_picture(small, "small")  # everything is imported
begun_with = psutil.Process().memory_info().data
resource.setrlimit(resource.RLIMIT_DATA, (begun_with + 400_000_000,) * 2)
picture = read_picture(large, "large", least_px=2048)
print(max(picture.image.size), picture.width_px, picture.height_px)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the data of a process")
@pytest.mark.parametrize("kind", ["16 bits", "JPEG"])
def test_forty_million_pixels_fit_into_four_hundred_megabytes(kind: str, tmp_path: Path) -> None:
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(as_bytes(Image.new("RGB", (8, 8)), "JPEG") if kind == "JPEG" else grey_png(8, 8, 9))
    large.write_bytes(
        as_bytes(Image.new("RGB", (8000, 5000)), "JPEG") if kind == "JPEG" else grey_png(8000, 5000, 20_000)
    )
    done = subprocess.run(
        [sys.executable, "-c", _IN_LITTLE_MEMORY, str(small), str(large)],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["4000", "8000", "5000"]


def test_no_other_code_opens_picture_files() -> None:
    """Whoever opens a file in another way reads 16 bits, transparency, HEIC or a damaged file in another way."""
    folders = ("aura", "bentos", "dataprep", "flows", "inference", "training", "stores", "docs")
    opening = {
        path.relative_to(repo_root()).as_posix()
        for folder in folders
        for path in (repo_root() / folder).rglob("*.py")
        if "Image.open(" in path.read_text(encoding="utf-8")
    }
    # The pictures of a smoke test lie in an artifact, as the training wrote them.
    assert opening == {"aura/pictures.py", "inference/detection/smoke_test.py", "inference/outfits/smoke_test.py"}
