"""Product photos with a table of classes: exact catalog rows, and every way in which the originals can be broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aura.artifact import content_hash
from aura.errors import DataError
from dataprep.importers.clothing import import_clothing
from dataprep.raw_source import read_manifest
from dataprep.settings import DataSettings
from tests.dataprep.knowledge_pages import read_lines
from tests.dataprep.originals import HEADER, ROWS, write_clothing, write_table


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """Five good photos that a test may break."""
    return write_clothing(tmp_path / "original")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "clothing"


def settings(**imports: float) -> DataSettings:
    return DataSettings.model_validate({"imports": {"workers": 1} | imports})


def test_rows_become_catalog_items(original: Path, raw: Path) -> None:
    report = import_clothing(original, raw, settings(max_bad_fraction=0))
    rows = read_lines(raw / "catalog" / "catalog.jsonl")
    assert [(row["title"], row["category"], row["description"]) for row in rows] == [
        ("Red T-shirt", "tops", "A red T-shirt for adults, photographed on its own."),
        ("Black shoes", "shoes", "Black shoes for adults, photographed on its own."),
        ("Blue bodysuit", "tops", "A blue bodysuit for children, photographed on its own."),
        ("Yellow skirt", "bottoms", "A yellow skirt for adults, photographed on its own."),
        ("Red dress", "all-body", "A red dress for children, photographed on its own."),
    ]
    assert rows[2]["attributes"] == {"garment": "body", "colour": "blue", "wearer": "children"}
    assert report.counts == {"catalog": 5}
    assert {name: number for name, number in report.categories.items() if number} == {
        "tops": 2, "bottoms": 1, "all-body": 1, "shoes": 1,
    }  # fmt: skip
    assert report.skipped == {}
    manifest = read_manifest(raw)
    assert (manifest.name, manifest.licence, manifest.counts) == ("clothing", "CC0", {"catalog": 5})
    assert {raw / "catalog" / row["image"] for row in rows} == set((raw / "catalog" / "images").iterdir())


def test_photos_are_turned_upright_and_stored_square(original: Path, raw: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = Image.new("RGB", (120, 60), (250, 250, 250))
    photo.paste((184, 31, 47), (0, 0, 60, 60))
    photo.save(original / "images" / "red-shirt.jpg", exif=exif, quality=95)
    import_clothing(original, raw, settings(item_px=64))
    first = read_lines(raw / "catalog" / "catalog.jsonl")[0]
    with Image.open(raw / "catalog" / first["image"]) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # The left half of the lying photo is the upper half of the standing one, with white beside it.
    assert pixels.shape == (64, 64, 3)
    assert pixels[8, 32, 0] - pixels[8, 32, 1] > 100
    assert pixels[56, 32].min() > 240
    assert pixels[8, 4].min() > 240


def test_white_on_white_is_white(original: Path, raw: Path) -> None:
    Image.new("RGB", (90, 120), (250, 250, 250)).save(original / "images" / "red-shirt.jpg")
    import_clothing(original, raw, settings())
    assert read_lines(raw / "catalog" / "catalog.jsonl")[0]["title"] == "White T-shirt"


def test_classes_that_name_no_garment_do_not_count_as_bad(tmp_path: Path, raw: Path) -> None:
    extra = [("red-1", "1", "Not sure", "False"), ("red-2", "1", "Other", "False"), ("red-3", "1", "Skip", "False")]
    report = import_clothing(write_clothing(tmp_path / "own", [*ROWS, *extra]), raw, settings(max_bad_fraction=0))
    assert report.counts == {"catalog": 5}
    assert report.skipped == {f"class {label!r} names no garment": 1 for label in ("Not sure", "Other", "Skip")}


def _photo(change: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: change(folder / "images" / "blue-body.jpg")


def _cut(share: float) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


def _row(*values: str) -> Callable[[Path], object]:
    return lambda folder: write_table(folder, [*ROWS[:2], values, *ROWS[3:]])


_UNUSABLE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "photo missing": (_photo(Path.unlink), "photo is missing", "blue-body.jpg"),
    "photo cut short": (_photo(_cut(0.7)), "photo is not readable", "blue-body.jpg"),
    "photo empty": (_photo(_cut(0)), "photo is not readable", "blue-body.jpg"),
    "photo is a text": (_photo(lambda file: file.write_text("404")), "photo is not readable", "blue-body.jpg"),
    "unknown class": (
        _row("blue-body", "2", "Spacesuit", "True"), "class 'Spacesuit' is not in the taxonomy", "blue-body.jpg",
    ),
    "no photo named": (_row("", "2", "Body", "True"), "row is incomplete", "line 4"),
    "no class": (_row("blue-body", "2", " ", "True"), "row is incomplete", "line 4"),
    "row cut short": (_row("blue-body", "2", "Body"), "row is incomplete", "line 4"),
    "photo elsewhere": (_row("../blue-body", "2", "Body", "True"), "row is incomplete", "line 4"),
    "photo twice": (_row("red-shirt", "2", "Body", "True"), "row repeats a photo", "line 4"),
}  # fmt: skip

_ROW_NAMES_ANOTHER = ("no photo named", "photo elsewhere", "photo twice")
"""Cases whose photo is there, but no row names it any more."""


@pytest.mark.parametrize("case", _UNUSABLE)
def test_one_unusable_row_is_left_out_and_named(case: str, original: Path, raw: Path) -> None:
    change, reason, name = _UNUSABLE[case]
    change(original)
    report = import_clothing(original, raw, settings(max_bad_fraction=0.2))
    assert report.counts == {"catalog": 4}
    told = {reason: [name]} | ({"photo has no row": ["blue-body.jpg"]} if case in _ROW_NAMES_ANOTHER else {})
    assert (report.skipped, report.examples, report.unusable) == (dict.fromkeys(told, 1), told, 1)
    titles = [row["title"] for row in read_lines(raw / "catalog" / "catalog.jsonl")]
    assert titles == ["Red T-shirt", "Black shoes", "Yellow skirt", "Red dress"]

    before = content_hash(raw)
    with pytest.raises(DataError) as caught:
        import_clothing(original, raw, settings(max_bad_fraction=0.19))
    assert "1 of 5 files of clothing are unusable, more than 19%" in caught.value.message
    assert f"left out 1: {reason} ({name})" in caught.value.message
    assert content_hash(raw) == before


def _rewrite(text: str, encoding: str = "utf-8") -> Callable[[Path], object]:
    return lambda folder: (folder / "images.csv").write_bytes(text.encode(encoding))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (shutil.rmtree, "is not a folder"),
        (lambda folder: shutil.rmtree(folder / "images"), "lacks images/"),
        (lambda folder: (folder / "images.csv").unlink(), r"lacks images\.csv"),
        (_rewrite(""), "lacks the columns image, sender_id, label, kids; it has: nothing"),
        (_rewrite("image,label\na,Dress\n"), "lacks the columns sender_id, kids; it has: image, label"),
        (_rewrite(",".join(HEADER) + "\n"), "has no rows"),
        (_rewrite(",".join(HEADER) + "\nrobe-d'été,1,Dress,False\n", "latin-1"), "is not a table in UTF-8"),
        (_rewrite(",".join(HEADER) + "\n" + "x" * 200_000 + ",1,Dress,False\n"), "is not a table in UTF-8"),
    ],
)
def test_another_layout_is_refused(change: Callable[[Path], object], complaint: str, original: Path, raw: Path) -> None:
    change(original)
    with pytest.raises(DataError, match=complaint) as caught:
        import_clothing(original, raw, settings())
    assert caught.value.hint
    assert not raw.exists()


def test_a_table_from_a_spreadsheet_is_read(original: Path, raw: Path) -> None:
    text = (original / "images.csv").read_text(encoding="utf-8")
    (original / "images.csv").write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert import_clothing(original, raw, settings(max_bad_fraction=0)).counts == {"catalog": 5}


def test_a_photo_that_no_row_names_is_told(original: Path, raw: Path) -> None:
    shutil.copyfile(original / "images" / "red-shirt.jpg", original / "images" / "forgotten.jpg")
    table = original / "images.csv"
    named = table.read_text(encoding="utf-8").splitlines()[-1].split(",")[0]
    table.write_text(f"{table.read_text(encoding='utf-8').rstrip()}\n{named},1,T-Shirt,False\n", encoding="utf-8")
    report = import_clothing(original, raw, settings(max_bad_fraction=0.5))
    assert report.skipped == {"photo has no row": 1, "row repeats a photo": 1}
    assert report.examples["photo has no row"] == ["forgotten.jpg"]
    assert report.counts == {"catalog": 5}


@pytest.mark.parametrize("label", ["Skip", "Spoon"])
def test_a_photo_whose_row_is_left_out_is_told_once(original: Path, raw: Path, label: str) -> None:
    table = original / "images.csv"
    shutil.copyfile(original / "images" / "red-shirt.jpg", original / "images" / "other.jpg")
    table.write_text(f"{table.read_text(encoding='utf-8').rstrip()}\nother,1,{label},False\n", encoding="utf-8")
    report = import_clothing(original, raw, settings(max_bad_fraction=0.5))
    assert sum(report.skipped.values()) == 1
    assert "photo has no row" not in report.skipped
