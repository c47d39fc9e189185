"""Originals as people have them: from phones, scanners, macOS and MATLAB. What can be read is; one file is lost, not all."""

from __future__ import annotations

import json
import os
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io
from PIL import Image

from dataprep.importers.ccp import import_ccp
from dataprep.importers.clothing import import_clothing
from dataprep.prepare import prepare
from dataprep.raw_source import ImportReport
from dataprep.settings import DataSettings
from tests.dataprep.knowledge_pages import read_lines, write_knowledge
from tests.dataprep.originals import (
    COLOURS,
    LABELS,
    ROWS,
    WORN,
    write_ccp,
    write_clothing,
    write_mask,
    write_table,
)
from tests.pictures import HEIC

STRICT = DataSettings.model_validate({"imports": {"workers": 1, "max_bad_fraction": 0}})
LENIENT = DataSettings.model_validate({"imports": {"workers": 1}})


@pytest.fixture
def street(tmp_path: Path) -> Path:
    return write_ccp(tmp_path / "street")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return write_clothing(tmp_path / "shop")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "source"


def boxes_of_fourth(raw: Path) -> list[list[float]]:
    table = json.loads((raw / "detection" / "annotations.json").read_text())
    number = next(row["id"] for row in table["images"] if row["file_name"] == "0004.jpg")
    return [row["bbox"] for row in table["annotations"] if row["image_id"] == number]


def fourth(folder: Path) -> Path:
    return folder / "photos" / "0004.jpg"


def saved_as(suffix: str, kind: str) -> Callable[[Path], object]:
    """The fourth photo in another format."""

    def change(folder: Path) -> None:
        with Image.open(fourth(folder)) as photo:
            photo.save(fourth(folder).with_suffix(suffix), kind)
        fourth(folder).unlink()

    return change


def named(suffix: str) -> Callable[[Path], object]:
    return lambda folder: fourth(folder).rename(fourth(folder).with_suffix(suffix))


def mask_as(kind: type[np.generic]) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        file = folder / "annotations" / "pixel-level" / "0004.mat"
        write_mask(folder, "0004", scipy.io.loadmat(file)["groundtruth"].astype(kind))

    return change


def write_hdf5(file: Path, name: str, value: Any) -> None:
    """A file as MATLAB's `save -v7.3` writes it: HDF5 behind a header of 512 bytes, arrays transposed."""
    with h5py.File(file, "w", userblock_size=512) as stream:
        if isinstance(value, np.ndarray):
            stream[name] = value.T
        else:
            texts = stream.create_group("#refs#")
            for number, text in enumerate(value):
                texts[str(number)] = np.frombuffer(text.encode("utf-16-le"), dtype="<u2")[:, None]
            stream[name] = np.array([[texts[str(number)].ref] for number in range(len(value))], dtype=h5py.ref_dtype)
    with file.open("r+b") as header:
        header.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM")


def all_version_73(folder: Path) -> None:
    for file in (folder / "annotations" / "pixel-level").iterdir():
        write_hdf5(file, "groundtruth", scipy.io.loadmat(file)["groundtruth"].astype(np.float64))
    write_hdf5(folder / "label_list.mat", "label_list", LABELS)


def mac_twins(folder: Path) -> None:
    for file in [*folder.rglob("0*.*")]:
        file.with_name(f"._{file.name}").write_bytes(b"\x00\x05\x16\x07")


_TAKEN: dict[str, Callable[[Path], object]] = {
    "capitals": named(".JPG"),
    "jpeg": named(".jpeg"),
    "PNG": saved_as(".png", "PNG"),
    "WebP": saved_as(".webp", "WEBP"),
    "AVIF": saved_as(".AVIF", "AVIF"),
    "mask in capitals": lambda folder: (folder / "annotations" / "pixel-level" / "0004.mat").rename(
        folder / "annotations" / "pixel-level" / "0004.MAT"
    ),
    "mask of doubles": mask_as(np.float64),
    "mask of singles": mask_as(np.float32),
    "MATLAB 7.3": all_version_73,
    "twins of macOS": mac_twins,
}


@pytest.mark.parametrize("case", _TAKEN)
def test_what_can_be_read_is_taken(case: str, street: Path, raw: Path) -> None:
    _TAKEN[case](street)
    report = import_ccp(street, raw, STRICT)
    assert report.counts["images"] == 10
    assert report.skipped == {}
    assert boxes_of_fourth(raw) == [[20, 20, 40, 60], [20, 110, 34, 8], [62, 50, 12, 16]]


def test_a_photo_of_a_phone_is_taken(street: Path, raw: Path) -> None:
    fourth(street).unlink()
    fourth(street).with_suffix(".HEIC").write_bytes(HEIC)
    mask = np.zeros((32, 48), dtype=np.uint8)
    mask[:, :24] = LABELS.index("dress")
    write_mask(street, "0004", mask)
    import_ccp(street, raw, STRICT)
    assert boxes_of_fourth(raw) == [[0, 0, 24, 32]]
    assert "Red dress" in {row["title"] for row in read_lines(raw / "outfits" / "items.jsonl")}


def test_a_second_file_of_a_name_costs_nothing(street: Path, raw: Path) -> None:
    for number in range(1, 11):
        shutil.copy(street / "photos" / f"{number:04d}.jpg", street / "photos" / f"{number:04d}.webp")
    report = import_ccp(street, raw, STRICT)
    assert report.counts["images"] == 10
    assert report.skipped == {"another file has the same name": 10}


_NAMES: dict[str, bytes] = {
    "Latin-1": "robe-d'été".encode("latin-1"),
    "line break": b"red\ndress",
    "long": b"x" * 250,
    "accents": "robe-d'été-à-fleurs".encode(),
}


@pytest.mark.parametrize("case", _NAMES)
def test_a_photo_of_an_odd_name_reaches_the_prepared_data(case: str, tmp_path: Path) -> None:
    street = write_ccp(tmp_path / "street", {f"{number:04d}": WORN for number in range(1, 31)})
    name = os.fsdecode(_NAMES[case])
    fourth(street).rename(fourth(street).with_name(f"{name}.jpg"))
    mask = street / "annotations" / "pixel-level" / "0004.mat"
    # macOS writes an accent as a character of its own.
    mask.rename(mask.with_name(unicodedata.normalize("NFD", name) + ".mat"))
    assert import_ccp(street, tmp_path / "raw" / "ccp", STRICT).counts["images"] == 30
    settings = DataSettings.model_validate({"sources": ["ccp"]})
    counts = prepare(settings, tmp_path / "raw", write_knowledge(tmp_path / "knowledge"), tmp_path / "data")
    assert sum(split["images"] for split in counts["detection"].values()) == 30


def test_an_odd_name_that_is_left_out_is_shown_as_text(street: Path, raw: Path) -> None:
    fourth(street).rename(fourth(street).with_name(os.fsdecode(b"\xe9t\xe9.jpg")))
    report = import_ccp(street, raw, LENIENT)
    assert report.examples == {"photo has no mask": ["\\xe9t\\xe9.jpg"], "mask has no photo": ["0004.mat"]}
    assert "\\xe9t\\xe9.jpg" in report.to_text()
    json.loads((raw / "source.json").read_text(encoding="utf-8"))


def shop_photo(shop: Path, image: Image.Image, suffix: str) -> None:
    """Another picture of the blue body."""
    (shop / "images" / "blue-body.jpg").unlink()
    image.save(shop / "images" / f"blue-body{suffix}")


def imported(shop: Path, raw: Path) -> tuple[ImportReport, dict[str, Any]]:
    report = import_clothing(shop, raw, STRICT)
    return report, next(row for row in read_lines(raw / "catalog" / "catalog.jsonl") if "bodysuit" in row["title"])


def test_sixteen_bits_do_not_become_a_white_garment(shop: Path, raw: Path) -> None:
    pixels = np.full((120, 90), 60_000, dtype=np.uint16)
    pixels[30:90, 20:70] = 3_000
    shop_photo(shop, Image.fromarray(pixels), ".png")
    report, row = imported(shop, raw)
    assert (report.skipped, row["title"]) == ({}, "Black bodysuit")


def test_what_is_transparent_does_not_become_black(shop: Path, raw: Path) -> None:
    photo = Image.new("RGBA", (90, 120), (0, 0, 0, 0))
    photo.paste((*COLOURS["bag"], 255), (20, 30, 70, 90))
    shop_photo(shop, photo, ".PNG")
    _, row = imported(shop, raw)
    assert row["title"] == "Blue bodysuit"
    with Image.open(raw / "catalog" / row["image"]) as stored:
        assert min(stored.convert("RGB").getpixel((2, 64))) > 240


def test_a_photo_with_accents_is_found_as_macos_writes_its_name(shop: Path, raw: Path) -> None:
    write_table(shop, [*ROWS[:2], ("body-d'été", "2", "Body", "True"), *ROWS[3:]])
    decomposed = unicodedata.normalize("NFD", "body-d'été")
    (shop / "images" / "blue-body.jpg").rename(shop / "images" / f"{decomposed}.jpeg")
    assert imported(shop, raw)[1]["title"] == "Blue bodysuit"


@pytest.mark.parametrize("name", ["x" * 300, "nul\0byte", "../" * 100])
def test_a_row_of_an_impossible_name_loses_itself_alone(name: str, shop: Path, raw: Path) -> None:
    write_table(shop, [*ROWS[:2], (name, "2", "Body", "True"), *ROWS[3:]])
    report = import_clothing(shop, raw, LENIENT)
    assert report.counts == {"catalog": 4}
    assert report.unusable == 1


def test_a_file_that_may_not_be_read_loses_itself_alone(street: Path, raw: Path) -> None:
    # A link to itself: root may read everything else.
    fourth(street).unlink()
    fourth(street).symlink_to(fourth(street))
    report = import_ccp(street, raw, LENIENT)
    assert report.skipped == {"photo is not readable": 1}
    assert report.counts["images"] == 9
