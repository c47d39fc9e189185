"""Polyvore Outfits: its own splits and questions reach the prepared data as they were published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from aura.errors import DataError
from aura.prepared_rows import CompatibilityRow, FitbRow, OutfitRow, read_rows
from dataprep.importers.polyvore import import_polyvore
from dataprep.prepare import prepare
from dataprep.raw_source import read_manifest
from dataprep.settings import DataSettings
from tests.dataprep.knowledge_pages import read_lines
from tests.dataprep.polyvore_original import SIZES, item_id, set_id, write_polyvore
from tests.dataprep.tiny_sample import TINY


@pytest.fixture
def original(tmp_path: Path) -> Path:
    return write_polyvore(tmp_path / "polyvore_outfits")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "polyvore"


def settings(**imports: Any) -> DataSettings:
    imports = {"workers": 1, "max_bad_fraction": 0.2} | imports
    return DataSettings.model_validate(
        {"sources": ["sample", "polyvore"], "sample": TINY.model_dump(), "imports": imports}
    )


def test_garments_outfits_and_catalog(original: Path, raw: Path) -> None:
    report = import_polyvore(original, raw, settings())
    total = sum(SIZES.values())
    # A garment of a test outfit in the catalog would give the answer away.
    assert report.counts["items"] == total * 3
    assert (report.counts["outfits"], report.counts["catalog"]) == (total, (total - SIZES["test"]) * 3)
    items = {row["item_id"]: row for row in read_lines(raw / "outfits" / "items.jsonl")}
    top, trousers = (items[f"v{item_id('train', 0, number)}"] for number in (1, 2))
    # A garment without a title is called by its address, as the published code calls it.
    assert (top["title"], top["category"]) == (f"Tops number {item_id('train', 0, 1)}", "tops")
    assert trousers["title"] == f"Bottoms {item_id('train', 0, 2)}"
    assert read_lines(raw / "catalog" / "catalog.jsonl")[0]["description"] == "Fine tops. Machine wash."
    first = read_lines(raw / "outfits" / "outfits.jsonl")[0]
    assert first["items"] == [f"v{item_id('train', 0, number)}" for number in (1, 2, 3)]


def test_its_splits_and_questions_are_kept(original: Path, raw: Path, knowledge: Path, tmp_path: Path) -> None:
    import_polyvore(original, raw, settings())
    prepare(settings(), raw.parent, knowledge, tmp_path / "data")
    outfits = tmp_path / "data" / "outfits"
    for split, name in {"train": "train", "val": "valid", "test": "test"}.items():
        ids = {row.outfit_id for row in read_rows(outfits / f"{split}.jsonl", OutfitRow)}
        assert {one for one in ids if one.startswith("polyvore-")} == {
            f"polyvore-{set_id(name, number)}" for number in range(SIZES[name])
        }
    blanks = read_rows(outfits / "questions" / "fitb_test.jsonl", FitbRow)
    assert len(blanks) == SIZES["test"]
    assert blanks[0] == FitbRow(
        outfit_id=f"polyvore-{set_id('test', 0)}",
        context=(f"v{item_id('test', 0, 1)}", f"v{item_id('test', 0, 3)}"),
        candidates=(f"v{item_id('test', 1, 2)}", f"v{item_id('test', 0, 2)}"),
        answer=1,
    )
    pairs = read_rows(outfits / "questions" / "compatibility_val.jsonl", CompatibilityRow)
    assert [row.worn_together for row in pairs] == [True, False] * SIZES["valid"]
    assert pairs[1].items == tuple(f"v{item_id('valid', outfit, n)}" for outfit, n in ((0, 1), (1, 2), (1, 3)))
    card = (tmp_path / "data" / "card.md").read_text()
    assert f"- `fitb_test.jsonl`: {SIZES['test']}" in card
    assert f"- `compatibility_test.jsonl`: {2 * SIZES['test']}" in card


def test_the_other_division_is_a_setting(original: Path, raw: Path) -> None:
    report = import_polyvore(original, raw, settings(polyvore_split="disjoint"))
    assert report.counts["outfits"] == sum(SIZES.values()) - len(SIZES)
    assert read_manifest(raw).origin.endswith("(disjoint)")
    assert read_manifest(raw).settings["polyvore_split"] == "disjoint"


def test_lost_garments_are_counted_and_take_their_questions_along(original: Path, raw: Path) -> None:
    (original / "images" / f"{item_id('test', 0, 1)}.jpg").unlink()
    (original / "images" / f"{item_id('test', 0, 2)}.jpg").write_bytes(b"no")
    metadata = json.loads((original / "polyvore_item_metadata.json").read_text())
    metadata[item_id("valid", 0, 1)]["semantic_category"] = ""
    del metadata[item_id("valid", 1, 1)]
    (original / "polyvore_item_metadata.json").write_text(json.dumps(metadata))
    report = import_polyvore(original, raw, settings())
    assert report.skipped["garment has no picture"] == 1
    assert report.skipped["picture is not readable"] == 1
    assert report.skipped["garment has no metadata"] == 1
    assert report.skipped["garment is of no category of Aura's"] == 2
    assert report.skipped["outfit has fewer than two garments left"] == 1
    # Each lost garment is asked about in its own outfit's question, and may be a wrong answer in another's.
    assert report.counts["fitb_test"] < SIZES["test"]
    with pytest.raises(DataError, match="4 of 42 files of polyvore are unusable"):
        import_polyvore(original, raw, settings(max_bad_fraction=0.01))


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("nondisjoint/train.json", "[{", "is not JSON in UTF-8"),
        ("nondisjoint/train.json", '[{"set": 1}]', "is not a list of outfits"),
        ("nondisjoint/train.json", '[{"set_id": "1", "items": [{"item_id": "../x", "index": 1}]}]', "no file name"),
        ("polyvore_item_metadata.json", "[]", "holds no object of garments by id"),
        ("nondisjoint/fill_in_blank_test.json", '[{"question": "x"}]', "has no question and answers"),
        ("nondisjoint/compatibility_test.txt", "2 a_1 b_2", "begins with '2' instead of 0 or 1"),
    ],
)
def test_a_damaged_file_is_refused(file: str, text: str, message: str, original: Path, raw: Path) -> None:
    (original / file).write_text(text)
    with pytest.raises(DataError, match=message):
        import_polyvore(original, raw, settings())
    assert not raw.exists()


def test_another_folder_is_refused(tmp_path: Path, raw: Path) -> None:
    with pytest.raises(DataError, match=r"lacks nondisjoint/train.json"):
        import_polyvore(write_polyvore(tmp_path / "set", ("disjoint",)), raw, settings())
