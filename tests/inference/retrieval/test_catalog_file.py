"""The catalog file is checked row by row, and its pictures when they are read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from aura.errors import DataError
from aura.taxonomy import Category
from inference.retrieval.catalog import open_picture, read_catalog

LINE = {
    "item_id": "a1",
    "category": "tops",
    "title": "Red shirt",
    "description": "Of cotton.",
    "attributes": {"colour": "red", "a": "b"},
    "image": "images/a1.png",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / "a1.png")
    return tmp_path


def write(folder: Path, *lines: Any) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    (folder / "catalog.jsonl").write_text("\n".join(texts), encoding="utf-8")
    return folder


def test_items_are_read_in_the_order_of_their_ids(folder: Path) -> None:
    items = read_catalog(write(folder, LINE | {"item_id": "b"}, "", LINE))
    assert [item.item_id for item in items] == ["a1", "b"]
    assert items[0].category is Category.TOPS
    assert items[0].search_text == "Red shirt. tops. a b, colour red. Of cotton."


def test_an_empty_catalog_is_allowed_and_a_missing_one_is_not(folder: Path) -> None:
    with pytest.raises(DataError, match=r"catalog\.jsonl is missing"):
        read_catalog(folder)
    assert read_catalog(write(folder)) == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{broken", "row 2: not JSON"),
        ([1], "row 2: not a JSON object"),
        (LINE, "item_id 'a1' appears twice"),
        (LINE | {"item_id": ""}, "item_id: String should have at least 1 character"),
        (LINE | {"item_id": "c", "title": 5}, "title: Input should be a valid string (got 5)"),
        (LINE | {"item_id": "c", "category": "capes"}, "category: Input should be 'tops', 'bottoms'"),
        (LINE | {"item_id": "c", "attributes": {"size": 3}}, "attributes.size: Input should be a valid string (got 3)"),
        (LINE | {"item_id": "c", "image": "images/no.png"}, "the picture 'images/no.png' does not exist"),
    ],
)
def test_a_broken_line_is_named(folder: Path, line: Any, complaint: str) -> None:
    with pytest.raises(DataError) as caught:
        read_catalog(write(folder, LINE, line))
    assert "row 2" in str(caught.value)
    assert complaint in str(caught.value)


def test_many_broken_lines_are_counted_and_the_first_are_shown(folder: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_catalog(write(folder, *["broken"] * 30))
    assert "30 problem(s) in" in str(caught.value)
    assert "and 10 more" in str(caught.value)


def test_a_broken_picture_is_named(folder: Path) -> None:
    path = folder / "images" / "a1.png"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"cannot read the picture a1\.png"):
        open_picture(path)


def test_a_picture_is_turned_upright(folder: Path) -> None:
    path = folder / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 10)).save(path, exif=exif)
    assert open_picture(path).size == (10, 30)
