"""Raw sources become what training reads: valid, split by group, the same every time, and there at once."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from pycocotools.coco import COCO

from aura.artifact import content_hash
from aura.errors import DataError
from aura.prepared_rows import SPLITS
from aura.taxonomy import CATEGORIES
from aura.training_sources import read_sources
from dataprep.importers.ccp import import_ccp
from dataprep.importers.clothing import import_clothing
from dataprep.prepare import main, prepare
from dataprep.settings import DataSettings
from dataprep.splits import split_of
from inference.retrieval.chunks import read_pages
from inference.retrieval.judge import read_queries
from tests.dataprep.knowledge_pages import SLUGS, read_lines
from tests.dataprep.originals import WORN, write_ccp, write_clothing
from tests.dataprep.stage_process import running, wait_for
from tests.dataprep.tiny_sample import TINY

PARTS = ("detection", "outfits", "catalog", "knowledge", "chat")


def tables(data: Path) -> dict[str, dict[str, Any]]:
    return {split: json.loads((data / "detection" / f"{split}.json").read_text()) for split in SPLITS}


def sides(data: Path) -> dict[str, str]:
    """Split of every group of photos, outfits and conversations; fails when a group is on two sides."""
    found: dict[str, str] = {}
    for split, table in tables(data).items():
        groups = {row["group"] for row in table["images"]}
        groups |= {row["group"] for part in ("outfits", "chat") for row in read_lines(data / part / f"{split}.jsonl")}
        for group in groups:
            assert found.setdefault(group, split) == split, f"{group} is in {found[group]} and {split}"
    return found


def test_detection_is_valid_coco(prepared: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored = set()
    for split, table in tables(prepared).items():
        coco = COCO(prepared / "detection" / f"{split}.json")
        assert len(coco.getImgIds()) == len(table["images"]) > 0
        assert len(coco.getAnnIds()) == len(table["annotations"]) > 0
        assert set(coco.imgToAnns) <= set(coco.getImgIds())
        for row in table["images"]:
            assert row["file_name"] not in stored
            stored.add(row["file_name"])
            with Image.open(prepared / "detection" / "images" / row["file_name"]) as picture:
                assert picture.size == (row["width"], row["height"])
        for box in table["annotations"]:
            x, y, width, height = box["bbox"]
            image = coco.imgs[box["image_id"]]
            assert 0 <= x < x + width <= image["width"]
            assert 0 <= y < y + height <= image["height"]
    assert stored == {path.name for path in (prepared / "detection" / "images").iterdir()}
    assert len(stored) == TINY.scenes
    capsys.readouterr()


def test_categories_are_complete_in_every_split(prepared: Path) -> None:
    expected = [{"id": number, "name": category.value} for number, category in enumerate(CATEGORIES)]
    for table in tables(prepared).values():
        assert table["categories"] == expected


def test_every_row_and_box_is_kept(prepared: Path, shared_raw: Path) -> None:
    raw = json.loads((shared_raw / "sample" / "detection" / "annotations.json").read_text())
    names = {row["id"]: f"sample-{row['file_name']}" for row in raw["images"]}
    expected = sorted((names[box["image_id"]], box["category_id"], box["bbox"]) for box in raw["annotations"])
    found = []
    for table in tables(prepared).values():
        names = {row["id"]: row["file_name"] for row in table["images"]}
        found += [(names[box["image_id"]], box["category_id"], box["bbox"]) for box in table["annotations"]]
    assert sorted(found) == expected
    for part in ("outfits/items.jsonl", "catalog/catalog.jsonl"):
        assert read_lines(prepared / part) == read_lines(shared_raw / "sample" / part)


def test_splits_share_no_group_and_follow_the_hash(prepared: Path) -> None:
    settings = DataSettings()
    found = sides(prepared)
    assert set(found.values()) == set(SPLITS)
    for group, split in found.items():
        shares = settings.split if "/" in group else settings.dialogue_split
        assert split == split_of(group, settings.split_seed, shares)


def test_a_worn_outfit_and_its_photo_are_on_one_side(prepared: Path) -> None:
    photos = {row["group"] for table in tables(prepared).values() for row in table["images"]}
    outfits = {row["group"] for split in SPLITS for row in read_lines(prepared / "outfits" / f"{split}.jsonl")}
    # That they share groups is what makes `sides` compare them.
    assert len(photos & outfits) >= 5


def test_outfits_are_made_of_items_with_pictures(prepared: Path) -> None:
    items = {row["item_id"]: row for row in read_lines(prepared / "outfits" / "items.jsonl")}
    assert {prepared / "outfits" / row["image"] for row in items.values()} == set(
        (prepared / "outfits" / "images").iterdir()
    )
    outfits = [row for split in SPLITS for row in read_lines(prepared / "outfits" / f"{split}.jsonl")]
    assert len(outfits) == len({row["outfit_id"] for row in outfits}) == TINY.outfits
    assert {item for row in outfits for item in row["items"]} <= items.keys()


def test_dialogues_and_queries_refer_to_pages(prepared: Path) -> None:
    pages = {path.stem for path in (prepared / "knowledge" / "pages").glob("*.md")}
    assert pages == set(SLUGS)
    dialogues = [row for split in SPLITS for row in read_lines(prepared / "chat" / f"{split}.jsonl")]
    assert len(dialogues) == len({row["id"] for row in dialogues}) == 30
    assert {slug for row in dialogues for slug in row["documents"]} == pages
    queries = read_queries(prepared / "knowledge" / "queries.jsonl", read_pages(prepared / "knowledge" / "pages"))
    assert sorted(slug for query in queries for slug in query.relevant) == sorted(pages)


def test_the_card_shows_what_is_there(prepared: Path) -> None:
    text = (prepared / "card.md").read_text()
    linked = re.findall(r"!\[.*?\]\((.*?)\)", text)
    assert {prepared / name for name in linked} == set((prepared / "card").iterdir())
    assert len(linked) == 4
    for name in linked:
        with Image.open(prepared / name) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 300
            assert len(set(picture.convert("L").resize((64, 64)).tobytes())) > 20
    assert "| sample | drawn by this project" in text
    for what, key in (("images", "images"), ("boxes", "annotations")):
        numbers = " | ".join(str(len(table[key])) for table in tables(prepared).values())
        assert f"| {what} | {numbers} |" in text
    for part in PARTS:
        assert f"- {part}: `{content_hash(prepared / part)}`" in text


def test_pictures_are_linked_not_copied(prepared: Path, shared_raw: Path) -> None:
    name = tables(prepared)["train"]["images"][0]["file_name"]
    source = shared_raw / "sample" / "detection" / "images" / name.removeprefix("sample-")
    assert (prepared / "detection" / "images" / name).samefile(source)


def test_prepared_twice_is_the_same(prepared: Path, shared_raw: Path, knowledge: Path, tmp_path: Path) -> None:
    out = tmp_path / "deeper" / "data"
    prepare(DataSettings(sample=TINY), shared_raw, knowledge, out)
    assert content_hash(out) == content_hash(prepared)
    assert [path.name for path in out.parent.iterdir()] == ["data"]


def test_more_sources_move_nothing(
    prepared: Path, own_raw: Path, knowledge: Path, tmp_path: Path, tiny: DataSettings
) -> None:
    photos = {f"{number:04d}": WORN for number in range(1, 31)}
    import_ccp(write_ccp(tmp_path / "ccp", photos), own_raw / "ccp", tiny)
    import_clothing(write_clothing(tmp_path / "clothing"), own_raw / "clothing", tiny)
    out = tmp_path / "data"
    counts = prepare(tiny.model_copy(update={"sources": ["ccp", "clothing", "sample"]}), own_raw, knowledge, out)

    before, after = sides(prepared), sides(out)
    assert before.items() < after.items()
    added = after.keys() - before.keys()
    assert added == {f"ccp/photo-{name}" for name in photos}
    assert {after[group] for group in added} == set(SPLITS)
    assert sum(row["images"] for row in counts["detection"].values()) == TINY.scenes + 30
    assert counts["outfits"]["items"] == TINY.products + 90
    assert counts["catalog"]["items"] == TINY.catalog_items + 30 + len(
        read_lines(own_raw / "clothing/catalog/catalog.jsonl")
    )
    card = (out / "card.md").read_text()
    for source in ("ccp | Apache-2.0", "clothing | CC0", "sample | drawn"):
        assert f"| {source}" in card


def test_a_source_that_was_imported_with_other_settings_is_named(
    tmp_path: Path, knowledge: Path, tiny: DataSettings
) -> None:
    raw = tmp_path / "raw"
    photos = {f"{number:04d}": WORN for number in range(1, 31)}
    import_ccp(write_ccp(tmp_path / "ccp", photos), raw / "ccp", tiny)
    wider = tiny.imports.model_copy(update={"photo_px": 832})
    settings = tiny.model_copy(update={"sources": ["ccp"], "imports": wider})
    with pytest.warns(
        UserWarning, match="ccp was imported with photo_px=480 instead of 832; `aura data import ccp PATH`"
    ):
        prepare(settings, raw, knowledge, tmp_path / "data")


def test_a_killed_preparation_leaves_the_old_data(tmp_path: Path, knowledge: Path, tiny: DataSettings) -> None:
    raw, data, settings = tmp_path / "raw", tmp_path / "data", tiny.model_copy(update={"sources": ["ccp"]})
    import_ccp(write_ccp(tmp_path / "ccp", {f"{number:04d}": WORN for number in range(1, 31)}), raw / "ccp", tiny)
    data.mkdir()
    (data / "card.md").write_text("# Data card\nold")
    # Nobody writes to the pipe: whoever reads this page stands still, after photos, outfits and catalog.
    os.mkfifo(knowledge / "zips.md")
    with running(prepare, settings, raw, knowledge, data) as process:
        wait_for(tmp_path / ".data.building" / "catalog" / "catalog.jsonl", process)
        process.kill()
    assert [path.name for path in data.iterdir()] == ["card.md"]

    (knowledge / "zips.md").unlink()
    counts = prepare(settings, raw, knowledge, data)
    assert counts["outfits"]["items"] == 90
    assert sorted(path.name for path in data.iterdir()) == sorted([*PARTS, "card", "card.md"])
    assert not (tmp_path / ".data.building").exists()


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_text(yaml.safe_dump({"data": {"sample": TINY.model_dump()}}))
    return path


def test_the_stage_prepares_with_the_projects_own_knowledge(
    profile: Path, tmp_path: Path, shared_raw: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--profile", profile, "--raw", shared_raw, "--out", tmp_path / "data"]
    assert main(list(map(str, arguments))) == 0
    assert "detection: {'train': {'images':" in capsys.readouterr().out
    assert len(list((tmp_path / "data" / "knowledge" / "pages").glob("*.md"))) >= 30


def test_the_stage_says_which_source_to_import(
    profile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile.write_text(yaml.safe_dump({"data": {"sources": ["clothing"]}}))
    assert main(["--params", str(profile), "--out", str(tmp_path / "data")]) == 2
    assert "Hint: run: aura data import clothing PATH" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("source", ["ccp", "clothing"])
def test_a_missing_source_gives_the_command(source: str, own_raw: Path, knowledge: Path, tmp_path: Path) -> None:
    settings = DataSettings.model_validate({"sources": ["sample", source], "sample": TINY.model_dump()})
    (own_raw / source).mkdir()
    with pytest.raises(DataError, match=f"the source '{source}' is not imported") as caught:
        prepare(settings, own_raw, knowledge, tmp_path / "data")
    assert caught.value.hint == f"run: aura data import {source} PATH"


def test_a_source_without_photos_cannot_stand_alone(tmp_path: Path, knowledge: Path, tiny: DataSettings) -> None:
    import_clothing(write_clothing(tmp_path / "original"), tmp_path / "raw" / "clothing", tiny)
    with pytest.raises(DataError, match=r"no source of .*clothing.* has detection data"):
        prepare(tiny.model_copy(update={"sources": ["clothing"]}), tmp_path / "raw", knowledge, tmp_path / "data")


def test_each_table_says_where_its_rows_come_from(prepared: Path) -> None:
    for table in ("detection", "outfits", "catalog"):
        found = read_sources(prepared / table)
        assert found is not None
        assert [source.name for source in found.sources] == ["sample"]
        assert found.drawn_only


def test_photos_without_outfits_are_refused_before_anything_is_trained(
    tmp_path: Path, knowledge: Path, tiny: DataSettings
) -> None:
    # A dress and shoes are no outfit.
    import_ccp(
        write_ccp(tmp_path / "ccp", {f"{number:04d}": WORN[:3] for number in range(1, 31)}),
        tmp_path / "raw" / "ccp",
        tiny,
    )
    with pytest.raises(DataError, match=r"no source of \['ccp'\] has outfits data"):
        prepare(tiny.model_copy(update={"sources": ["ccp"]}), tmp_path / "raw", knowledge, tmp_path / "data")
