"""The first real photos of both data sets, read where they lie and never copied here."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from aura.taxonomy import IGNORED_LABELS, category_id, category_of
from dataprep.importers.ccp import import_ccp
from dataprep.importers.clothing import import_clothing
from dataprep.settings import DataSettings
from tests.dataprep.knowledge_pages import read_lines

pytestmark = [
    pytest.mark.realdata,
    pytest.mark.skipif("AURA_SHARED_DATA" not in os.environ, reason="AURA_SHARED_DATA names no folder of real data"),
]
PHOTOS = 6
SETTINGS = DataSettings.model_validate({"imports": {"workers": 1, "max_bad_fraction": 0}})


def real(name: str) -> Path:
    return Path(os.environ["AURA_SHARED_DATA"]).resolve() / name


@pytest.fixture
def ccp(tmp_path: Path) -> Path:
    """The original layout with links to the first photos."""
    folder = tmp_path / "ccp"
    for name, pattern in (("photos", "*.jpg"), ("annotations/pixel-level", "*.mat")):
        (folder / name).mkdir(parents=True)
        for file in sorted((real("ccp") / name).glob(pattern))[:PHOTOS]:
            (folder / name / file.name).symlink_to(file)
    (folder / "label_list.mat").symlink_to(real("ccp") / "label_list.mat")
    return folder


def test_street_photos_give_the_boxes_of_their_labels(ccp: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "ccp"
    report = import_ccp(ccp, raw, SETTINGS)
    assert report.unusable == 0
    assert report.counts["images"] == PHOTOS
    assert report.counts["boxes"] == report.counts["items"] >= 3 * PHOTOS
    assert report.counts["outfits"] >= PHOTOS - 1
    labels = [str(cell[0]) for cell in scipy.io.loadmat(ccp / "label_list.mat")["label_list"].ravel()]
    assert len(labels) == 59
    assert not [reason for reason in report.skipped if "taxonomy" in reason]

    table = json.loads((raw / "detection" / "annotations.json").read_text())
    for image in table["images"]:
        mask = scipy.io.loadmat(ccp / "annotations" / "pixel-level" / f"{Path(image['file_name']).stem}.mat")[
            "groundtruth"
        ]
        assert max(image["width"], image["height"]) == SETTINGS.imports.photo_px
        across, down = image["width"] / mask.shape[1], image["height"] / mask.shape[0]
        expected = {}
        for value in np.unique(mask):
            rows, columns = np.nonzero(mask == value)
            if labels[value] not in IGNORED_LABELS and len(rows) >= 4e-4 * mask.size:
                box = (columns.min() * across, rows.min() * down, (columns.max() + 1) * across, (rows.max() + 1) * down)
                expected[category_id(category_of(labels[value])), len(expected)] = box
        found = [box for box in table["annotations"] if box["image_id"] == image["id"]]
        # A speck without its islands may fall below the limit, so a few more are expected than found.
        assert len(expected) - 1 <= len(found) <= len(expected)
        for box in found:
            x, y, width, height = box["bbox"]
            around = [
                (left, top, right, bottom) for (category, _), (left, top, right, bottom) in expected.items()
                if category == box["category_id"] and x >= left - 0.01 and y >= top - 0.01
                and x + width <= right + 0.01 and y + height <= bottom + 0.01
            ]  # fmt: skip
            # Inside the bounds of all pixels of the label; islands left out may make it smaller.
            assert around, box
            assert 0 < box["area"] <= width * height + 0.1


def test_street_garments_become_named_pictures(ccp: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw" / "ccp"
    import_ccp(ccp, raw, SETTINGS)
    items = {row["item_id"]: row for row in read_lines(raw / "outfits" / "items.jsonl")}
    for row in items.values():
        assert row["title"].lower().endswith(row["attributes"]["garment"])
        with Image.open(raw / "outfits" / row["image"]) as picture:
            assert picture.size == (SETTINGS.imports.item_px,) * 2
            # Cut out on white: the margin is white all around.
            assert min(picture.convert("L").crop((0, 0, picture.width, 4)).getextrema()) > 230
    for outfit in read_lines(raw / "outfits" / "outfits.jsonl"):
        assert len(outfit["items"]) >= 3
        assert set(outfit["items"]) <= items.keys()
    assert len(read_lines(raw / "catalog" / "catalog.jsonl")) >= PHOTOS


def test_product_photos_become_catalog_items(tmp_path: Path) -> None:
    lines = (real("clothing") / "images.csv").read_text(encoding="utf-8").splitlines()[:13]
    folder = tmp_path / "clothing"
    (folder / "images").mkdir(parents=True)
    (folder / "images.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    rows = [line.split(",") for line in lines[1:]]
    for name, *_ in rows:
        (folder / "images" / f"{name}.jpg").symlink_to(real("clothing") / "images" / f"{name}.jpg")
    raw = tmp_path / "raw" / "clothing"
    report = import_clothing(folder, raw, SETTINGS)
    named = [row for row in rows if row[2].lower() not in IGNORED_LABELS]
    catalog = read_lines(raw / "catalog" / "catalog.jsonl")
    assert report.counts == {"catalog": len(named)}
    assert report.unusable == 0
    assert [row["category"] for row in catalog] == [category_of(row[2]).value for row in named]
    assert [row["attributes"]["wearer"] for row in catalog] == [
        "children" if row[3] == "True" else "adults" for row in named
    ]
    for row in catalog:
        with Image.open(raw / "catalog" / row["image"]) as picture:
            assert picture.size == (SETTINGS.imports.item_px,) * 2
