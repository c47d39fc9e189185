"""COCO files as people have them: what can be read is; what cannot is counted by reason, or refused before it is copied."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image

from aura.errors import DataError
from dataprep.importers import Original
from dataprep.importers.coco import import_coco
from dataprep.raw_source import ImportReport
from dataprep.settings import DataSettings
from tests.dataprep.coco_originals import HEIGHT_PX, WIDTH_PX, write_modanet

LENIENT = DataSettings.model_validate({"imports": {"workers": 1, "max_bad_fraction": 0.5}})
Table = dict[str, Any]
ALL = ["all-body", "shoes", "bags"]


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return tmp_path / "raw" / "coco"


@pytest.fixture
def original(tmp_path: Path) -> tuple[Path, Path]:
    """Three photos; each shows a dress, two shoes and a bag, which are annotations 1 to 4 of the first."""
    return write_modanet(tmp_path / "set", photos=3)


def changed(original: tuple[Path, Path], change: Callable[[Table], object]) -> None:
    table = json.loads(original[0].read_text())
    change(table)
    original[0].write_text(json.dumps(table))


def imported(original: tuple[Path, Path], raw: Path) -> ImportReport:
    return import_coco(Original(paths=original), raw, LENIENT)


def boxes_of_first(raw: Path) -> dict[str, list[float]]:
    """Box by category of the first photo."""
    table = json.loads((raw / "detection" / "annotations.json").read_text())
    names = {row["id"]: row["name"] for row in table["categories"]}
    first = table["images"][0]["id"]
    return {names[row["category_id"]]: row["bbox"] for row in table["annotations"] if row["image_id"] == first}


def first(**fields: Any) -> Callable[[Table], object]:
    """Change the dress of the first photo."""
    return lambda table: table["annotations"][0].update(fields)


_LOST: dict[str, tuple[Callable[[Table], object], str]] = {
    "crowd": (first(iscrowd=1), "region of several garments (iscrowd)"),
    "no width": (first(bbox=[25, 20, 0, 60], segmentation=[]), "box is empty or outside its photo"),
    "negative width": (first(bbox=[25, 20, -40, 60], segmentation=[]), "box is empty or outside its photo"),
    "outside": (first(bbox=[400, 20, 40, 60], segmentation=[]), "box is empty or outside its photo"),
    "no number": (first(bbox=[float("nan"), 20, 40, 60], segmentation=[]), "box is empty or outside its photo"),
    "neither box nor mask": (first(bbox=None, segmentation=None), "box is empty or outside its photo"),
    "speck": (first(bbox=[25, 20, 1.2, 1.2], segmentation=[]), "garment is a speck"),
    "unknown image": (first(image_id=5), "annotation of an unknown image"),
    "unknown category": (first(category_id=99), "annotation of an unknown category"),
    "three numbers": (first(bbox=[25, 20, 40]), "annotation is damaged"),
    "no row": (lambda table: table["annotations"].__setitem__(0, 7), "annotation is damaged"),
}


@pytest.mark.parametrize("case", _LOST)
def test_an_annotation_that_cannot_be_used_loses_itself_alone(
    case: str, original: tuple[Path, Path], raw: Path
) -> None:
    change, reason = _LOST[case]
    changed(original, change)
    report = imported(original, raw)
    assert report.skipped == {reason: 1}
    assert [*boxes_of_first(raw)] == ALL[1:]
    assert report.unusable == 0


_TAKEN: dict[str, tuple[Callable[[Table], object], list[float]]] = {
    "float box": (first(bbox=[25.25, 20.5, 39.5, 59.125]), [25.25, 20.5, 39.5, 59.12]),
    "over the edge": (first(bbox=[-10.5, -3, 40, 60]), [0, 0, 29.5, 57]),
    "larger than the photo": (first(bbox=[-5, -5, 500, 500], segmentation=[]), [0, 0, WIDTH_PX, HEIGHT_PX]),
    "string ids": (
        lambda table: (
            [row.update(image_id=str(row["image_id"]), id=f"a{row['id']}") for row in table["annotations"]]
            + [row.update(id=str(row["id"])) for row in table["images"]]
        ),
        [25, 20, 40, 60],
    ),
    "no area": (first(area=None), [25, 20, 40, 60]),
    "area of nothing": (first(area=0), [25, 20, 40, 60]),
    "ids of annotations twice": (lambda table: [row.update(id=1) for row in table["annotations"]], [25, 20, 40, 60]),
    "no size of the photo": (
        lambda table: [row.update(width=None, height=None) for row in table["images"]],
        [25, 20, 40, 60],
    ),
    "unused categories": (lambda table: table["categories"].append({"id": 80, "name": "giraffe"}), [25, 20, 40, 60]),
    "further tables": (lambda table: table.update(licenses=None, videos=[{}]), [25, 20, 40, 60]),
}


@pytest.mark.parametrize("case", _TAKEN)
def test_what_can_be_read_is_taken(case: str, original: tuple[Path, Path], raw: Path) -> None:
    change, box = _TAKEN[case]
    changed(original, change)
    report = imported(original, raw)
    assert report.skipped == {}
    assert boxes_of_first(raw) == {"all-body": box, "shoes": [25, 105, 37, 10], "bags": [70, 50, 14, 20]}


@pytest.mark.parametrize(
    ("segmentation", "reason"),
    [
        ([[1, 2, 3]], "polygon is damaged"),
        ({"size": [9, 9], "counts": [81]}, "segmentation has another size than its photo"),
        ({"size": [HEIGHT_PX, WIDTH_PX], "counts": [5, 5]}, "run lengths are damaged"),
        ({"size": [HEIGHT_PX, WIDTH_PX], "counts": "zzzz"}, "run lengths are damaged"),
        ({"counts": None}, "segmentation has another size than its photo"),
        ([[200, 200, 210, 200, 210, 210]], "it is empty"),
    ],
)
def test_a_damaged_mask_leaves_the_box(segmentation: Any, reason: str, original: tuple[Path, Path], raw: Path) -> None:
    changed(original, first(segmentation=segmentation))
    report = imported(original, raw)
    assert report.skipped == {f"mask is left out, its box is used: {reason}": 1}
    assert [*boxes_of_first(raw)] == [*ALL[1:], ALL[0]]
    # Without the dress the photo's other garments are no outfit.
    assert report.counts["outfits"] == 2


def test_an_annotation_that_is_there_twice_counts_once(original: tuple[Path, Path], raw: Path) -> None:
    changed(original, lambda table: table["annotations"].append(table["annotations"][0]))
    report = imported(original, raw)
    assert report.skipped == {"annotation is there twice": 1}
    assert report.counts["boxes"] == 9


_LOST_PHOTOS: dict[str, tuple[Callable[[tuple[Path, Path]], object], str]] = {
    "missing": (lambda original: (original[1] / "0000001.jpg").unlink(), "photo is missing"),
    "no picture": (lambda original: (original[1] / "0000001.jpg").write_bytes(b"no"), "photo is not readable"),
    "another shape": (
        lambda original: Image.new("RGB", (120, 120)).save(original[1] / "0000001.jpg"),
        "photo has another shape than its row says",
    ),
    "id twice": (
        lambda original: changed(original, lambda table: table["images"][1].update(id=table["images"][0]["id"])),
        "image row repeats an id",
    ),
    "file twice": (
        lambda original: changed(
            original, lambda table: table["images"][1].update(file_name=table["images"][0]["file_name"])
        ),
        "photo is named twice",
    ),
    "no file name": (
        lambda original: changed(original, lambda table: table["images"][1].pop("file_name")),
        "image row is damaged",
    ),
}


@pytest.mark.parametrize("case", _LOST_PHOTOS)
def test_a_photo_that_cannot_be_used_loses_itself_alone(case: str, original: tuple[Path, Path], raw: Path) -> None:
    change, reason = _LOST_PHOTOS[case]
    change(original)
    report = imported(original, raw)
    assert (report.skipped[reason], report.unusable) == (1, 1)
    assert report.counts["images"] == 2
    assert boxes_of_first(raw)["all-body"] == [25, 20, 40, 60]


def test_a_photo_without_annotations_is_no_photo_without_garments(original: tuple[Path, Path], raw: Path) -> None:
    changed(original, lambda table: table.update(annotations=table["annotations"][:4]))
    report = imported(original, raw)
    assert report.skipped == {"photo has no annotation": 2}
    assert (report.counts["images"], report.unusable) == (1, 0)


def test_a_scaled_photo_is_annotated_at_its_scale(original: tuple[Path, Path], raw: Path) -> None:
    file = original[1] / "0000000.jpg"
    with Image.open(file) as photo:
        photo.resize((WIDTH_PX * 2, HEIGHT_PX * 2)).save(file, quality=95)
    report = imported(original, raw)
    assert boxes_of_first(raw) == {
        "all-body": [50, 40, 80, 120],
        "shoes": [50, 210, 74, 20],
        "bags": [140, 100, 28, 40],
    }
    assert report.skipped == {}


@pytest.mark.parametrize("lying", [False, True])
def test_a_turned_photo_is_read_as_its_annotators_saw_it(lying: bool, original: tuple[Path, Path], raw: Path) -> None:
    file = original[1] / "0000000.jpg"
    with Image.open(file) as photo:
        stored = photo.transpose(Image.Transpose.ROTATE_90) if lying else photo.copy()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    stored.save(file, quality=95, subsampling=0, exif=exif)
    imported(original, raw)
    assert boxes_of_first(raw)["all-body"] == [25, 20, 40, 60]
    (outfit,) = [line for line in (raw / "outfits" / "items.jsonl").read_text().splitlines() if "Red" in line]
    assert json.loads(outfit)["title"] == "Red dress"


@pytest.mark.parametrize("separator", ["/", "\\"])
def test_photos_of_sub_folders_keep_apart(separator: str, original: tuple[Path, Path], raw: Path) -> None:
    for number in (1, 2):
        folder = original[1] / f"shop-{number}"
        folder.mkdir()
        (original[1] / f"000000{number}.jpg").rename(folder / "same name.jpg")
    changed(
        original,
        lambda table: [
            row.update(file_name=f"shop-{n}{separator}same name.jpg") for n, row in enumerate(table["images"]) if n
        ],
    )
    report = imported(original, raw)
    assert report.skipped == {}
    names = sorted(path.name for path in (raw / "detection" / "images").iterdir())
    assert len(names) == 3
    assert sum(name.startswith("same name-") for name in names) == 2


_REFUSED: dict[str, tuple[Callable[[tuple[Path, Path]], object], str]] = {
    "half a file": (lambda original: original[0].write_bytes(original[0].read_bytes()[:900]), "only a part of it"),
    "Latin-1": (lambda original: original[0].write_bytes('{"a": "é"}'.encode("latin-1")), "is not JSON in UTF-8"),
    "empty": (lambda original: original[0].write_text(""), "is not JSON in UTF-8"),
    "nested": (lambda original: original[0].write_text("[" * 200_000), "is not JSON in UTF-8"),
    "results": (lambda original: original[0].write_text("[]"), "holds a list instead of an object"),
    "no tables": (lambda original: original[0].write_text('{"images": []}'), "lacks the lists annotations, categories"),
    "path": (
        lambda original: changed(original, lambda table: table["images"][1].update(file_name="../../etc/x.jpg")),
        "which is not below the folder of images",
    ),
    "absolute path": (
        lambda original: changed(original, lambda table: table["images"][1].update(file_name="/etc/x.jpg")),
        "which is not below the folder of images",
    ),
    "path with backslashes": (
        lambda original: changed(original, lambda table: table["images"][1].update(file_name="..\\x.jpg")),
        "which is not below the folder of images",
    ),
    "no photo": (
        lambda original: changed(original, lambda table: [row.update(file_name="x.jpg") for row in table["images"]]),
        "none of the 1 photos of .* is there; the first would be .*x.jpg",
    ),
    "no annotation": (
        lambda original: changed(original, lambda table: table.update(annotations=[])),
        "annotates no garment in 3 images",
    ),
    "category ids twice": (
        lambda original: changed(original, lambda table: table["categories"].append({"id": 1, "name": "hat"})),
        "two categories of the id 1: 'bag', 'hat'",
    ),
    "mostly damaged": (
        lambda original: changed(original, lambda table: [row.pop("image_id") for row in table["annotations"][:9]]),
        "9 of 12 annotations of .* are damaged, more than 50%",
    ),
}


@pytest.mark.parametrize("case", _REFUSED)
def test_what_cannot_be_used_is_refused_before_anything_is_copied(
    case: str, original: tuple[Path, Path], raw: Path
) -> None:
    change, message = _REFUSED[case]
    change(original)
    with pytest.raises(DataError, match=message):
        imported(original, raw)
    assert not raw.parent.exists()


def test_too_many_lost_photos_are_refused(original: tuple[Path, Path], raw: Path) -> None:
    for number in (0, 1):
        (original[1] / f"000000{number}.jpg").write_bytes(b"no")
    with pytest.raises(DataError, match="2 of 3 files of coco are unusable"):
        imported(original, raw)
    assert not raw.exists()
