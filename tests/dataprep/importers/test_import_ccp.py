"""Street photos with pixel labels: exact boxes from known pixels, and every way in which the originals can be broken."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aura.artifact import content_hash
from aura.errors import DataError
from aura.taxonomy import CATEGORIES
from dataprep.importers.ccp import import_ccp
from dataprep.raw_source import read_manifest
from dataprep.settings import DataSettings
from tests.dataprep.knowledge_pages import read_lines
from tests.dataprep.originals import HEIGHT_PX, LABELS, WIDTH_PX, WORN, write_ccp, write_labels, write_mask


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """Ten good photos that a test may break."""
    return write_ccp(tmp_path / "original")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "ccp"


def settings(**imports: float) -> DataSettings:
    return DataSettings.model_validate({"imports": {"workers": 1} | imports})


def boxes(raw: Path) -> list[tuple[int, str, list[float], float]]:
    """Image id, category, box and area of each annotation."""
    table = json.loads((raw / "detection" / "annotations.json").read_text())
    names = {row["id"]: row["name"] for row in table["categories"]}
    return [(row["image_id"], names[row["category_id"]], row["bbox"], row["area"]) for row in table["annotations"]]


def test_boxes_are_the_bounds_of_the_labels(tmp_path: Path, raw: Path) -> None:
    import_ccp(write_ccp(tmp_path / "original", {"0007": WORN}), raw, settings())
    assert boxes(raw) == [
        (1, "all-body", [20, 20, 40, 60], 2400),
        (1, "shoes", [20, 110, 34, 8], 160),
        (1, "bags", [62, 50, 12, 16], 192),
    ]
    table = json.loads((raw / "detection" / "annotations.json").read_text())
    assert table["images"] == [
        {
            "id": 1,
            "file_name": "0007.jpg",
            "width": WIDTH_PX,
            "height": HEIGHT_PX,
            "group": "photo-0007",
            "photo_type": "street",
        }
    ]
    assert [row["name"] for row in table["categories"]] == [category.value for category in CATEGORIES]
    assert [row["id"] for row in table["annotations"]] == [1, 2, 3]


def test_boxes_shrink_with_the_stored_photo(tmp_path: Path, raw: Path) -> None:
    import_ccp(write_ccp(tmp_path / "original", {"0007": WORN}), raw, settings(photo_px=64))
    assert boxes(raw) == [
        (1, "all-body", [10, 10, 20, 30], 600),
        (1, "shoes", [10, 55, 17, 4], 40),
        (1, "bags", [31, 25, 6, 8], 48),
    ]
    with Image.open(raw / "detection" / "images" / "0007.jpg") as photo:
        assert photo.size == (WIDTH_PX // 2, HEIGHT_PX // 2)


def test_islands_do_not_stretch_a_box_and_specks_are_left_out(tmp_path: Path, raw: Path) -> None:
    areas = (("dress", 20, 20, 40, 60), ("dress", 2, 2, 5, 5), ("bag", 70, 4, 2, 2), ("hat", 40, 2, 6, 3))
    report = import_ccp(write_ccp(tmp_path / "original", {"0001": areas}), raw, settings(min_area_fraction=1e-3))
    assert boxes(raw) == [(1, "all-body", [20, 20, 40, 60], 2400), (1, "hats", [40, 2, 6, 3], 18)]
    assert report.skipped == {"garment is a speck": 1}
    assert report.unusable == 0


def test_items_outfits_and_catalog(tmp_path: Path, raw: Path) -> None:
    photos = {"0001": WORN, "0002": WORN[:4]}
    report = import_ccp(write_ccp(tmp_path / "original", photos), raw, settings(min_catalog_px=30))
    assert report.counts == {"images": 2, "boxes": 5, "items": 5, "outfits": 1, "catalog": 4}
    assert {name: number for name, number in report.categories.items() if number} == {
        "all-body": 2, "shoes": 2, "bags": 1,
    }  # fmt: skip

    items = {row["item_id"]: row for row in read_lines(raw / "outfits" / "items.jsonl")}
    assert [row["title"] for row in items.values()] == [
        "Red dress",
        "Black shoes",
        "Blue bag",
        "Red dress",
        "Black shoes",
    ]
    assert [row["category"] for row in items.values()] == ["all-body", "shoes", "bags", "all-body", "shoes"]
    # A dress and shoes are no outfit; the largest garment comes first.
    (outfit,) = read_lines(raw / "outfits" / "outfits.jsonl")
    assert (outfit["outfit_id"], outfit["group"]) == ("ccp-0001", "photo-0001")
    assert [items[item]["title"] for item in outfit["items"]] == ["Red dress", "Blue bag", "Black shoes"]

    catalog = read_lines(raw / "catalog" / "catalog.jsonl")
    assert [row["title"] for row in catalog] == ["Red dress", "Black shoes", "Red dress", "Black shoes"]
    assert catalog[0]["description"] == "A red dress, seen on the street."
    assert catalog[1]["description"] == "Black shoes, seen on the street."
    assert catalog[0]["attributes"] == {"garment": "dress", "colour": "red"}
    for name, rows in (("outfits", items.values()), ("catalog", catalog)):
        listed = {raw / name / row["image"] for row in rows}
        assert listed == set((raw / name / "images").iterdir())


def test_garments_are_cut_out_on_white(tmp_path: Path, raw: Path) -> None:
    floor = ("skin", 0, 90, WIDTH_PX, HEIGHT_PX - 90)
    import_ccp(write_ccp(tmp_path / "original", {"0001": (floor, *WORN)}), raw, settings(item_px=96))
    shoes = next(row for row in read_lines(raw / "outfits" / "items.jsonl") if row["category"] == "shoes")
    with Image.open(raw / "outfits" / shoes["image"]) as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape == (96, 96, 3)
    # The pair lies left and right; between and above it is white, not the floor.
    assert pixels[48, 48].min() > 240
    assert pixels[10, 48].min() > 240
    assert pixels[48, 18].max() < 40
    assert pixels[48, 78].max() < 40


def test_the_manifest_says_where_it_comes_from(original: Path, raw: Path) -> None:
    report = import_ccp(original, raw, settings())
    manifest = read_manifest(raw)
    assert (manifest.name, manifest.licence, manifest.counts) == ("ccp", "Apache-2.0", report.counts)
    assert report.counts["images"] == 10
    assert "left out" not in report.to_text()
    assert not list(raw.parent.glob(".*.importing"))


def test_many_processes_write_what_one_writes(original: Path, tmp_path: Path) -> None:
    (original / "photos" / "0003.jpg").write_bytes(b"")
    reports = [import_ccp(original, tmp_path / f"raw-{n}", settings(workers=n)) for n in (1, 2)]
    assert reports[0] == reports[1]
    assert content_hash(tmp_path / "raw-1") == content_hash(tmp_path / "raw-2")


def _photo(change: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: change(folder / "photos" / "0004.jpg")


def _mask(change: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: change(folder / "annotations" / "pixel-level" / "0004.mat")


def _cut(share: float) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])


def _labels(mask: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: write_mask(folder, "0004", mask)


def _become_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


_FLAT = np.zeros((HEIGHT_PX, WIDTH_PX), dtype=np.uint8)
_UNUSABLE: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "no photo": (_photo(Path.unlink), "mask has no photo", "0004.mat"),
    "no mask": (_mask(Path.unlink), "photo has no mask", "0004.jpg"),
    "photo cut short": (_photo(_cut(0.7)), "photo is not readable", "0004.jpg"),
    "photo cut in its header": (_photo(_cut(0.1)), "photo is not readable", "0004.jpg"),
    "photo empty": (_photo(_cut(0)), "photo is not readable", "0004.jpg"),
    "photo is a text": (_photo(lambda file: file.write_text("404: Not Found")), "photo is not readable", "0004.jpg"),
    "photo is a folder": (_photo(_become_folder), "photo is not readable", "0004.jpg"),
    "mask cut short": (_mask(_cut(0.7)), "mask is not readable", "0004.jpg"),
    "mask empty": (_mask(_cut(0)), "mask is not readable", "0004.jpg"),
    "mask is a text": (_mask(lambda file: file.write_text("404: Not Found")), "mask is not readable", "0004.jpg"),
    "mask without groundtruth": (
        lambda folder: shutil.copy(folder / "label_list.mat", folder / "annotations/pixel-level/0004.mat"),
        "mask is not readable", "0004.jpg",
    ),
    "mask of fractions": (_labels(_FLAT + 0.5), "mask is not readable", "0004.jpg"),
    "mask below zero": (_labels(_FLAT.astype(np.int8) - 1), "mask is not readable", "0004.jpg"),
    "mask of nothing": (_labels(np.zeros(0, dtype=np.uint8)), "mask is not readable", "0004.jpg"),
    "mask in colour": (_labels(np.zeros((4, 4, 3), dtype=np.uint8)), "mask is not readable", "0004.jpg"),
    # 2**33 + 3 is a dress when the upper bits are dropped; finding the objects of 2**31 - 1 labels takes all memory.
    "mask of huge numbers": (_labels(_FLAT.astype(np.int64) + 2**33 + 3), "mask is not readable", "0004.jpg"),
    "mask of too many labels": (_labels(_FLAT.astype(np.int32) + (2**31 - 1)), "mask is not readable", "0004.jpg"),
    "mask of another size": (_labels(_FLAT[:-1]), "mask has another size than its photo", "0004.jpg"),
    "mask lying down": (_labels(_FLAT.T), "mask has another size than its photo", "0004.jpg"),
}  # fmt: skip


@pytest.mark.parametrize("case", _UNUSABLE)
def test_one_unusable_photo_is_left_out_and_named(case: str, original: Path, raw: Path) -> None:
    change, reason, name = _UNUSABLE[case]
    change(original)
    report = import_ccp(original, raw, settings(max_bad_fraction=0.1))
    assert report.counts["images"] == 9
    assert (report.skipped, report.examples, report.unusable) == ({reason: 1}, {reason: [name]}, 1)
    assert f"left out 1: {reason} ({name})" in report.to_text()
    assert read_manifest(raw).skipped == {reason: 1}
    stored = {file.stem for file in (raw / "detection" / "images").iterdir()}
    assert stored == {f"{number:04d}" for number in range(1, 11)} - {"0004"}

    before = content_hash(raw)
    with pytest.raises(DataError, match=rf"(?s)1 of 10 files of ccp.*more than 5%.*{reason} \({name}\)"):
        import_ccp(original, raw, settings(max_bad_fraction=0.05))
    assert content_hash(raw) == before


def test_too_many_unusable_photos_are_counted_by_reason(original: Path, raw: Path) -> None:
    for number in range(1, 8):
        (original / "photos" / f"{number:04d}.jpg").write_bytes(b"broken")
    (original / "annotations" / "pixel-level" / "0008.mat").unlink()
    with pytest.raises(DataError) as caught:
        import_ccp(original, raw, settings())
    assert "8 of 10 files of ccp are unusable, more than 20%" in caught.value.message
    assert (
        "left out 7: photo is not readable (0001.jpg, 0002.jpg, 0003.jpg, 0004.jpg, 0005.jpg, ...)"
        in caught.value.message
    )
    assert "left out 1: photo has no mask (0008.jpg)" in caught.value.message
    assert "max_bad_fraction" in caught.value.hint
    assert not raw.exists()


def test_unknown_labels_are_left_out_of_a_photo_that_is_kept(tmp_path: Path, raw: Path) -> None:
    original = write_ccp(tmp_path / "original", {"0001": (*WORN, ("spacesuit", 0, 90, 10, 10))})
    report = import_ccp(original, raw, settings(max_bad_fraction=0))
    assert report.skipped == {"label 'spacesuit' is not in the taxonomy": 1}
    assert [name for _, name, _, _ in boxes(raw)] == ["all-body", "shoes", "bags"]

    write_labels(original, LABELS[:5])
    report = import_ccp(original, raw, settings(max_bad_fraction=0))
    assert report.skipped == {f"label number {n} is not in label_list.mat": 1 for n in (5, 7)}
    assert [name for _, name, _, _ in boxes(raw)] == ["all-body", "shoes"]


def _without(name: str) -> Callable[[Path], object]:
    return lambda folder: shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (shutil.rmtree, "is not a folder"),
        (_without("photos"), "lacks photos/"),
        (_without("annotations"), "lacks annotations/pixel-level/"),
        (_without("label_list.mat"), r"lacks label_list\.mat"),
        (lambda folder: [file.unlink() for file in (folder / "photos").iterdir()], r"holds 0 photos .* and 10 masks"),
        (lambda folder: [file.unlink() for file in folder.rglob("0*.mat")], r"holds 10 photos .* and 0 masks"),
        (lambda folder: _cut(0.5)(folder / "label_list.mat"), "is not a list of labels"),
        (lambda folder: write_labels(folder, ("null", "dress", "dress")), "lists 3 labels, or a label twice"),
    ],
)  # fmt: skip
def test_another_layout_is_refused(change: Callable[[Path], object], complaint: str, original: Path, raw: Path) -> None:
    change(original)
    with pytest.raises(DataError, match=complaint) as caught:
        import_ccp(original, raw, settings())
    assert caught.value.hint
    assert not raw.exists()


def test_everything_that_is_missing_is_named_at_once(original: Path, raw: Path) -> None:
    shutil.rmtree(original / "photos")
    (original / "label_list.mat").unlink()
    with pytest.raises(DataError, match=r"lacks label_list\.mat, photos/"):
        import_ccp(original, raw, settings())


def test_a_home_that_is_a_file_is_refused(original: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    for raw in (tmp_path / "file" / "ccp", tmp_path / "file" / "raw" / "ccp"):
        with pytest.raises(DataError, match="cannot write below"):
            import_ccp(original, raw, settings())
