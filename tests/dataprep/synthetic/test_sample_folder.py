"""The drawn sample on disk: the same bytes for the same settings, complete or replaced."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from pydantic import ValidationError

from aura.artifact import content_hash
from aura.paths import repo_root
from aura.taxonomy import CATEGORIES
from dataprep.raw_source import read_manifest
from dataprep.synthetic.outfits import build_outfits
from dataprep.synthetic.people import person_scene
from dataprep.synthetic.settings import SampleSettings
from dataprep.synthetic.shop import build_shop
from dataprep.synthetic.source import write_sample
from tests.dataprep.knowledge_pages import read_lines
from tests.dataprep.tiny_sample import TINY

PARTS = (
    "detection/annotations.json", "detection/images", "outfits/items.jsonl", "outfits/outfits.jsonl", "outfits/images",
    "catalog/catalog.jsonl", "catalog/images",
)  # fmt: skip


@pytest.fixture
def sample(shared_raw: Path) -> Path:
    """To be read only."""
    return shared_raw / "sample"


def test_the_same_seed_gives_the_same_bytes_in_another_process(sample: Path, tmp_path: Path) -> None:
    # Another order of sets and dictionaries must not show.
    code = (
        "import sys; from pathlib import Path; from tests.dataprep.tiny_sample import TINY; "
        "from dataprep.synthetic.source import write_sample; write_sample(Path(sys.argv[1]), TINY)"
    )
    environment = os.environ | {"PYTHONPATH": str(repo_root()), "PYTHONHASHSEED": "123"}
    command = [sys.executable, "-c", code, str(tmp_path / "sample")]
    subprocess.run(command, env=environment, cwd=repo_root(), check=True, timeout=300)
    assert content_hash(tmp_path / "sample") == content_hash(sample)


def test_another_seed_gives_other_bytes_everywhere(sample: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "sample", TINY.model_copy(update={"seed": TINY.seed + 1}))
    for part in PARTS:
        assert content_hash(tmp_path / "sample" / part) != content_hash(sample / part), part


def test_every_category_is_a_product_and_has_boxes(sample: Path) -> None:
    names = [category.value for category in CATEGORIES]
    assert {row["category"] for row in read_lines(sample / "outfits" / "items.jsonl")} == set(names)
    assert {row["category"] for row in read_lines(sample / "catalog" / "catalog.jsonl")} == set(names)
    table = json.loads((sample / "detection" / "annotations.json").read_text())
    assert [(row["id"], row["name"]) for row in table["categories"]] == list(enumerate(names))


def test_boxes_lie_in_their_pictures_around_something(sample: Path) -> None:
    table = json.loads((sample / "detection" / "annotations.json").read_text())
    images = {row["id"]: row for row in table["images"]}
    assert len(images) == TINY.scenes
    assert {box["image_id"] for box in table["annotations"]} <= set(images)
    assert len(table["annotations"]) > 2 * len(images)
    for image_id, image in images.items():
        with Image.open(sample / "detection" / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
            assert picture.width <= picture.height == TINY.scene_size_px
            grey = picture.convert("L")
        for box in (row for row in table["annotations"] if row["image_id"] == image_id):
            x, y, width, height = box["bbox"]
            assert min(x, y) >= 0
            assert x + width <= image["width"]
            assert y + height <= image["height"]
            assert min(width, height) >= TINY.min_box_px
            assert 0 < box["area"] <= width * height
            darkest, lightest = grey.crop((x, y, x + width, y + height)).getextrema()
            assert lightest - darkest > 10


def test_catalog_rows_have_words_and_a_picture(sample: Path) -> None:
    rows = read_lines(sample / "catalog" / "catalog.jsonl")
    items = {row["item_id"]: row for row in read_lines(sample / "outfits" / "items.jsonl")}
    assert len({row["item_id"] for row in rows}) == len(rows) == TINY.catalog_items
    assert len({row["title"] for row in items.values()}) == len(items) == TINY.products
    for row in rows:
        assert row["attributes"].keys() == {
            "garment", "cut", "colour", "pattern", "fabric", "style", "season", "occasion",
        }  # fmt: skip
        assert all(row["attributes"].values())
        assert row["attributes"]["fabric"] in row["title"].lower()
        assert row["attributes"]["colour"] in row["description"]
        assert row["description"].endswith(".")
        assert row | {"description": ""} == items[row["item_id"]] | {"description": ""}
        picture = sample / "catalog" / row["image"]
        assert picture.read_bytes() == (sample / "outfits" / row["image"]).read_bytes()
        with Image.open(picture) as image:
            assert image.size == (TINY.product_size_px,) * 2


def test_outfits_are_made_of_products(sample: Path) -> None:
    known = {row["item_id"] for row in read_lines(sample / "outfits" / "items.jsonl")}
    outfits = read_lines(sample / "outfits" / "outfits.jsonl")
    assert len({row["outfit_id"] for row in outfits}) == len(outfits) == TINY.outfits
    for outfit in outfits:
        assert set(outfit["items"]) <= known
        assert 2 <= len(set(outfit["items"])) == len(outfit["items"])


def test_a_complete_folder_is_left_alone(own_raw: Path) -> None:
    folder = own_raw / "sample"
    (folder / "kept").touch()
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    manifest = write_sample(folder, TINY)
    assert manifest == read_manifest(folder)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


@pytest.mark.parametrize("state", ["no manifest", "cut short", "no object", "of other code", "killed"])
def test_a_half_written_folder_is_replaced(state: str, sample: Path, own_raw: Path) -> None:
    folder = own_raw / "sample"
    (folder / "detection" / "annotations.json").write_text("{}")
    (folder / "stranger").touch()
    manifest = folder / "source.json"
    if state == "no manifest":
        manifest.unlink()
    elif state == "cut short":
        manifest.write_bytes(manifest.read_bytes()[:40])
    elif state == "no object":
        manifest.write_text("[]")
    elif state == "of other code":
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"drawn_by": "older code"}))
    else:
        folder.rename(own_raw / ".sample.drawing")
    write_sample(folder, TINY)
    assert content_hash(folder) == content_hash(sample)
    assert sorted(path.name for path in own_raw.iterdir()) == [".sample.lock", "sample"]


def test_other_settings_replace_the_folder(own_raw: Path) -> None:
    changed = TINY.model_copy(update={"outfits": TINY.outfits + 1})
    assert write_sample(own_raw / "sample", changed).counts["outfits"] == TINY.outfits + 1
    assert len(read_lines(own_raw / "sample" / "outfits" / "outfits.jsonl")) == TINY.outfits + 1


def test_the_smallest_settings_work_and_smaller_ones_are_refused(tmp_path: Path) -> None:
    smallest = {
        name: next(rule.ge for rule in SampleSettings.model_fields[name].metadata)
        for name in ("products", "catalog_items", "outfits", "scenes", "scene_size_px", "product_size_px")
    }
    counts = write_sample(tmp_path / "sample", SampleSettings.model_validate(smallest)).counts
    assert {counts["items"], counts["catalog"], counts["outfits"], counts["images"]} == {
        smallest["products"], smallest["catalog_items"], smallest["outfits"], smallest["scenes"],
    }  # fmt: skip
    # Enough people for some to stand in pairs, each in an outfit of its own.
    outfits = build_outfits(build_shop(smallest["products"], 1), smallest["outfits"], 1, 0.0)
    assert all(person_scene(outfits, 96, 8, random.Random(number)).boxes for number in range(80))
    for name, least in smallest.items():
        with pytest.raises(ValidationError, match=name):
            SampleSettings.model_validate({name: least - 1})
