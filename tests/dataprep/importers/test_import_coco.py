"""Photos in COCO format: the three layouts that are known by name, and what one of one's own needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from aura.errors import DataError, SettingsError
from aura.paths import home
from aura.prepared_rows import SPLITS
from dataprep.importers import Original
from dataprep.importers.coco import import_coco
from dataprep.prepare import prepare
from dataprep.raw_source import ImportReport, read_manifest
from dataprep.settings import DataSettings
from flows.cli.app import app
from tests.dataprep.coco_originals import (
    BLACK,
    BLUE,
    MODANET,
    Draw,
    Thing,
    packed_runs,
    polygon,
    runs,
    worn,
    write_coco_set,
    write_deepfashion2,
    write_fashionpedia,
    write_foreign,
    write_modanet,
)
from tests.dataprep.knowledge_pages import read_lines
from tests.dataprep.tiny_sample import TINY

STRICT = DataSettings.model_validate({"sources": ["coco"], "imports": {"workers": 1, "max_bad_fraction": 0}})


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "coco"


def imported(paths: tuple[Path, ...], raw: Path, settings: DataSettings = STRICT, **more: Any) -> ImportReport:
    return import_coco(Original(paths=paths, **more), raw, settings)


def boxes(raw: Path) -> list[tuple[int, str, list[float], float]]:
    """Image id, category, box and area of each annotation."""
    table = json.loads((raw / "detection" / "annotations.json").read_text())
    names = {row["id"]: row["name"] for row in table["categories"]}
    return [(row["image_id"], names[row["category_id"]], row["bbox"], row["area"]) for row in table["annotations"]]


def images(raw: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((raw / "detection" / "annotations.json").read_text())["images"]
    return rows


def test_fashionpedia_needs_no_map(tmp_path: Path, raw: Path) -> None:
    report = imported(write_fashionpedia(tmp_path / "set", photos=2), raw)
    # Two shoes are one garment, and a sleeve is none.
    assert boxes(raw)[:3] == [
        (1, "all-body", [25, 20, 40, 60], 2400),
        (1, "shoes", [25, 105, 37, 10], 240),
        (1, "bags", [70, 50, 14, 20], 280),
    ]
    assert report.counts == {"images": 2, "boxes": 6, "items": 6, "outfits": 2, "catalog": 2}
    assert report.skipped == {"annotation of a part, or of no garment": 2}
    assert report.examples == {"annotation of a part, or of no garment": ["sleeve"]}
    assert read_manifest(raw).licence == "Fashionpedia: CC BY 4.0 (annotations)"


def test_garments_with_masks_become_outfits_and_catalog_items(tmp_path: Path, raw: Path) -> None:
    imported(write_fashionpedia(tmp_path / "set", photos=1), raw)
    items = {row["item_id"]: row for row in read_lines(raw / "outfits" / "items.jsonl")}
    assert [row["title"] for row in items.values()] == ["Red dress", "Black shoes", "Blue bag"]
    dress = next(iter(items.values()))
    assert dress["attributes"] == {
        "garment": "dress", "colour": "red", "length": "above-the-knee", "silhouette": "a-line", "textile pattern": "plain",
    }  # fmt: skip
    (outfit,) = read_lines(raw / "outfits" / "outfits.jsonl")
    assert [items[item]["title"] for item in outfit["items"]] == ["Red dress", "Blue bag", "Black shoes"]
    assert outfit["group"] == images(raw)[0]["group"]
    (item,) = read_lines(raw / "catalog" / "catalog.jsonl")
    assert item["description"] == "A red dress, seen in a photo."
    with Image.open(raw / "catalog" / item["image"]) as cut:
        assert min(cut.convert("RGB").getpixel((2, 2))) > 240
        red, green, _ = cut.convert("RGB").getpixel((64, 64))
        assert red > 150 > 80 > green


@pytest.mark.parametrize("draw", [polygon, runs, packed_runs])
def test_a_box_follows_from_the_mask_where_there_is_none(draw: Draw, tmp_path: Path, raw: Path) -> None:
    imported(write_fashionpedia(tmp_path / "set", photos=1, draw=draw, boxes=False), raw)
    assert boxes(raw)[0] == (1, "all-body", [25, 20, 40, 60], 2400)
    assert len(boxes(raw)) == 3


def test_deepfashion2_keeps_the_photos_of_a_pair_together(tmp_path: Path, raw: Path, knowledge: Path) -> None:
    report = imported(write_deepfashion2(tmp_path / "set", photos=40), raw)
    assert report.skipped == {}
    titles = {row["title"] for row in read_lines(raw / "catalog" / "catalog.jsonl")}
    assert {"Red short-sleeved top", "Blue trousers", "Blue skirt"} <= titles
    assert len({row["group"] for row in images(raw)}) == 20
    settings = DataSettings.model_validate({"sources": ["sample", "coco"], "sample": TINY.model_dump()})
    # Two garments are no outfit, so the drawn ones are the outfits here.
    prepare(settings, raw.parent, knowledge, tmp_path / "data")
    sides: dict[str, set[str]] = {}
    for name in SPLITS:
        for row in json.loads((tmp_path / "data" / "detection" / f"{name}.json").read_text())["images"]:
            sides.setdefault(row["group"], set()).add(name)
    assert sum(group.startswith("coco/pair-") for group in sides) == 20
    assert all(len(found) == 1 for found in sides.values())


def test_photos_of_two_garments_are_outfits_when_the_settings_say_so(
    tmp_path: Path, raw: Path, knowledge: Path
) -> None:
    original = write_deepfashion2(tmp_path / "set", photos=40)
    report = imported(original, raw)
    assert (report.counts["outfits"], report.counts["items"]) == (0, 0)
    with pytest.raises(DataError, match=r"no source of \['coco'\] has outfits data"):
        prepare(STRICT, raw.parent, knowledge, tmp_path / "data")
    two = DataSettings.model_validate({"sources": ["coco"], "imports": {"workers": 1, "min_outfit_items": 2}})
    assert imported(original, raw, two).counts["outfits"] == 40
    counts = prepare(two, raw.parent, knowledge, tmp_path / "data")
    assert sum(counts["outfits"][split] for split in SPLITS) == 40


def test_modanet_needs_no_map(tmp_path: Path, raw: Path) -> None:
    imported(write_modanet(tmp_path / "set", photos=1), raw)
    assert [category for _, category, _, _ in boxes(raw)] == ["all-body", "shoes", "bags"]
    assert read_manifest(raw).licence == "ModaNet: CC BY-NC 4.0 (annotations)"


def test_boxes_alone_teach_the_detector_alone(tmp_path: Path, raw: Path) -> None:
    report = imported(write_modanet(tmp_path / "set", photos=2, draw=None), raw)
    assert report.counts == {"images": 2, "boxes": 6, "items": 0, "outfits": 0, "catalog": 0}
    assert {path.name for path in raw.iterdir()} == {"detection", "source.json"}


def test_unknown_categories_are_refused_with_a_proposal_that_the_map_option_reads(tmp_path: Path) -> None:
    file, folder = write_foreign(tmp_path / "set", photos=2)
    command = ["data", "import", "coco", str(file), str(folder)]
    refused = CliRunner().invoke(app, command)
    assert isinstance(refused.exception, DataError)
    assert str(refused.exception).startswith(
        "4 of the 4 categories of instances.json are unknown: 'person', 'tee shirt'"
    )
    assert not (home() / "raw").exists()
    (proposal,) = (home() / "category-maps").iterdir()
    assert f"--map {proposal}" in (refused.exception.hint or "")
    lines = proposal.read_text(encoding="utf-8").splitlines()[2:]
    assert lines == [
        "person: decide  # 2 annotations",
        "tee shirt: tops  # 2 annotations, guessed",
        "sarong: decide  # 2 annotations",
        "handbag: bags  # 2 annotations, guessed",
    ]

    undecided = CliRunner().invoke(app, [*command, "--map", str(proposal)])
    assert isinstance(undecided.exception, DataError)
    assert "2 lines of the category map" in str(undecided.exception)
    assert "person: decide; sarong: decide" in str(undecided.exception)

    decided = (
        proposal.read_text().replace("person: decide", "person: null").replace("sarong: decide", "sarong: bottoms")
    )
    proposal.write_text(decided)
    done = CliRunner().invoke(app, [*command, "--map", str(proposal)])
    assert done.exit_code == 0, done.output
    # Asked again without the map, it does not write over what a person has decided.
    CliRunner().invoke(app, command)
    assert proposal.read_text() == decided
    found = boxes(home() / "raw" / "coco")
    assert [category for _, category, _, _ in found] == ["tops", "bottoms", "bags"] * 2
    assert [row["title"] for row in read_lines(home() / "raw" / "coco" / "outfits" / "items.jsonl")][:3] == [
        "Red tee shirt",
        "Green sarong",
        "Blue handbag",
    ]


def test_names_of_aura_and_of_its_table_need_no_map(tmp_path: Path, raw: Path) -> None:
    things = (Thing("Tops", (10, 10, 30, 30)), Thing("bow tie", (50, 50, 20, 20)), Thing("background", (0, 90, 40, 20)))
    report = imported(write_coco_set(tmp_path / "set", ("Tops", "bow tie", "background"), {"a.jpg": things}), raw)
    assert [category for _, category, _, _ in boxes(raw)] == ["tops", "accessories"]
    assert report.licence == "your own"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tee shirt: blazers of all kinds", "name no category: tee shirt: blazers of all kinds"),
        ("- a list", "maps no categories"),
        ("", "maps no categories"),
        ("a: b: c", "cannot read the category map"),
    ],
)
def test_a_wrong_map_is_refused(text: str, message: str, tmp_path: Path, raw: Path) -> None:
    wrong = tmp_path / "map.yaml"
    wrong.write_text(text)
    with pytest.raises(DataError, match=message):
        imported(write_foreign(tmp_path / "set", photos=1), raw, category_map=wrong)


def test_a_map_has_the_last_word(tmp_path: Path, raw: Path) -> None:
    told = tmp_path / "map.yaml"
    told.write_text("dress: null\nFOOTWEAR: accessories\n")
    imported(write_modanet(tmp_path / "set", photos=1), raw, category_map=told)
    assert [category for _, category, _, _ in boxes(raw)] == ["accessories", "accessories", "bags"]


def test_garments_of_several_people_are_no_outfit(tmp_path: Path, raw: Path) -> None:
    photos = {
        "one.jpg": worn("dress", "footwear", "bag"),
        "two.jpg": (*worn("dress", "footwear", "bag"), Thing("dress", (0, 20, 20, 60), BLUE)),
        "feet.jpg": (*worn("dress", "footwear", "bag"), Thing("footwear", (2, 105, 12, 10), BLACK)),
    }
    report = imported(write_coco_set(tmp_path / "set", MODANET, photos), raw)
    assert report.counts["outfits"] == 1
    # More than two shoes are of nobody in particular: each keeps its box.
    assert [box[:1] for _, category, box, _ in boxes(raw) if category == "shoes"] == [[25], [25], [25], [50], [2]]


def test_train_and_val_stay_apart(tmp_path: Path, raw: Path, knowledge: Path) -> None:
    train = write_fashionpedia(tmp_path / "a", photos=30)
    val = write_modanet(tmp_path / "b", photos=6)
    train = (train[0].rename(train[0].with_name("instances_attributes_train2020.json")), train[1])
    val = (val[0].rename(val[0].with_name("instances_val.json")), val[1])
    imported((*train, *val), raw)
    assert {row["split"] for row in images(raw)} == {"train or val", "test"}
    prepare(STRICT, raw.parent, knowledge, tmp_path / "data")
    found = {
        split: json.loads((tmp_path / "data" / "detection" / f"{split}.json").read_text())["images"] for split in SPLITS
    }
    assert len(found["test"]) == 6
    assert {"split" in row for rows in found.values() for row in rows} == {False}
    assert len(found["train"]) + len(found["val"]) == 30
    assert len(read_lines(tmp_path / "data" / "outfits" / "test.jsonl")) == 6


def test_three_splits_are_kept_as_they_are(tmp_path: Path, raw: Path) -> None:
    pairs = []
    for name in ("train", "validation", "test"):
        file, folder = write_modanet(tmp_path / name, photos=2)
        pairs += [file.rename(file.with_name(f"{name}.json")), folder]
    imported(tuple(pairs), raw)
    assert [row["split"] for row in images(raw)] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2


def test_one_file_has_no_split_whatever_it_is_called(tmp_path: Path, raw: Path) -> None:
    imported(write_fashionpedia(tmp_path / "set", photos=1), raw)
    assert "split" not in images(raw)[0]


@pytest.mark.parametrize("paths", [(), ("a.json",), ("a.json", "b", "c.json")])
def test_paths_come_in_pairs(paths: tuple[str, ...], raw: Path) -> None:
    with pytest.raises(SettingsError, match="come with their images"):
        imported(tuple(Path(path) for path in paths), raw)


def test_a_set_too_small_to_train_is_refused_before_anything_is_trained(
    tmp_path: Path, raw: Path, knowledge: Path
) -> None:
    imported(write_fashionpedia(tmp_path / "set", photos=4), raw)
    with pytest.raises(DataError, match=r"at least 2 photos and 1 box are needed: import more data"):
        prepare(STRICT, raw.parent, knowledge, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_three_layouts_reach_the_prepared_data(tmp_path: Path, raw: Path, knowledge: Path) -> None:
    imported(
        (*write_fashionpedia(tmp_path / "a"), *write_deepfashion2(tmp_path / "b"), *write_modanet(tmp_path / "c")), raw
    )
    counts = prepare(STRICT, raw.parent, knowledge, tmp_path / "data")
    assert sum(split["images"] for split in counts["detection"].values()) == 90
    assert sum(split["boxes"] for split in counts["detection"].values()) == 30 * 3 + 30 * 2 + 30 * 3
    card = (tmp_path / "data" / "card.md").read_text()
    assert (
        "| coco | Fashionpedia: CC BY 4.0 (annotations); DeepFashion2: see its page (access by a form); ModaNet: CC BY-NC 4.0"
        in card
    )
