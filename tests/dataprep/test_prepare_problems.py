"""All problems of the raw data are in one message, and the earlier data stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from aura.artifact import content_hash
from aura.errors import DataError, ForeignFolderError, SettingsError
from dataprep.prepare import prepare
from dataprep.settings import DataSettings
from tests.dataprep.knowledge_pages import dialogue, read_lines, write_lines
from tests.dataprep.tiny_sample import TINY


@pytest.fixture
def sample(own_raw: Path) -> Path:
    """The drawn source; its manifest still says that it is complete, so it is not drawn again."""
    return own_raw / "sample"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Data of an earlier preparation."""
    (tmp_path / "data" / "detection").mkdir(parents=True)
    (tmp_path / "data" / "detection" / "train.json").write_text("old")
    (tmp_path / "data" / "card.md").write_text("# Data card\n")
    return tmp_path / "data"


@pytest.fixture
def complaint(sample: Path, knowledge: Path, out: Path, tiny: DataSettings) -> Callable[[], DataError]:
    """Prepare, and give the error that it ends with; the old data must be there as before."""

    def fail() -> DataError:
        before = content_hash(out)
        with pytest.raises(DataError) as caught:
            prepare(tiny, sample.parent, knowledge, out)
        assert content_hash(out) == before
        return caught.value

    return fail


def edit_coco(sample: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = sample / "detection" / "annotations.json"
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def edit_rows(path: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    rows = read_lines(path)
    change(rows)
    # A file of its own: links may share the old one.
    path.unlink()
    write_lines(path, rows)


def test_everything_wrong_is_told_at_once(sample: Path, knowledge: Path, complaint: Callable[[], DataError]) -> None:
    def spoil_photos(table: dict[str, Any]) -> None:
        table["images"][1]["height"] += 1
        table["images"] += [table["images"][2], table["images"][0] | {"id": 900, "width": 0}]
        table["annotations"][-1]["bbox"] = [90, 0, 40, 10]
        table["annotations"][-2]["category_id"] = 12
        table["annotations"].append(table["annotations"][-1] | {"id": 9999, "image_id": 5555})

    edit_coco(sample, spoil_photos)
    edit_rows(sample / "outfits" / "items.jsonl", lambda rows: rows.append(rows[0] | {"category": "capes"}))
    edit_rows(sample / "outfits" / "outfits.jsonl", lambda rows: rows[0].update(items=["nobody", "nothing"]))
    edit_rows(sample / "outfits" / "outfits.jsonl", lambda rows: rows[1].update(items=["one"]))
    edit_rows(sample / "catalog" / "catalog.jsonl", lambda rows: rows[0].pop("title"))
    edit_rows(sample / "catalog" / "catalog.jsonl", lambda rows: rows[1].update(colour="red"))
    edit_rows(sample / "catalog" / "catalog.jsonl", lambda rows: rows.append(rows[2]))
    gone = read_lines(sample / "catalog" / "catalog.jsonl")[3]["image"]
    (sample / "catalog" / gone).unlink()
    broken = read_lines(sample / "catalog" / "catalog.jsonl")[4]["image"]
    (sample / "catalog" / broken).unlink()
    (sample / "catalog" / broken).write_bytes(b"no picture")
    edit_rows(knowledge / "dialogues" / "all.jsonl", lambda rows: rows[0].update(documents=["silk"]))
    edit_rows(knowledge / "dialogues" / "all.jsonl", lambda rows: rows[1]["messages"].reverse())
    edit_rows(knowledge / "dialogues" / "all.jsonl", lambda rows: rows.append(dialogue(2, documents=[])))

    error = complaint()
    for part in (
        f"sample/detection/images, row {TINY.scenes + 2}: width: Input should be greater than 0",
        "sample/detection/images: 3 appears twice",
        "pixels, its row says",
        "category_id: Input should be less than 12",
        "box 9999: no image 5555",
        "box [90.0, 0.0, 40.0, 10.0] is empty or outside",
        f"sample/outfits/items.jsonl, row {TINY.products + 1}: category: Input should be 'tops', 'bottoms'",
        "unknown items nobody, nothing",
        "sample/outfits/outfits.jsonl, row 2: items: ",
        "sample/catalog/catalog.jsonl, row 1: title: Field required",
        "sample/catalog/catalog.jsonl, row 2: colour: Extra inputs are not permitted",
        "catalogs of all sources: ",
        f"picture {Path(gone).name} is missing",
        f"picture {Path(broken).name} is not readable",
        "dialogues/all.jsonl, talk-0: unknown pages silk",
        "dialogues/all.jsonl, talk-1: turns must alternate",
        "dialogues/all.jsonl, row 31: documents: ",
    ):
        assert part in error.message, part
    assert error.message.startswith("17 problem(s) in the raw data:")
    assert error.hint


def test_a_file_that_is_missing_hides_no_other_problem(
    sample: Path, knowledge: Path, complaint: Callable[[], DataError]
) -> None:
    (sample / "detection" / "annotations.json").unlink()
    (sample / "outfits" / "outfits.jsonl").unlink()
    edit_rows(sample / "catalog" / "catalog.jsonl", lambda rows: rows[0].pop("title"))
    (knowledge / "wool.md").write_text("no front matter")
    message = complaint().message
    assert message.startswith("4 problem(s) in the raw data:")
    for part in ("annotations.json", "outfits.jsonl is missing", "row 1: title: Field required", "wool.md: does not"):
        assert part in message, part


def test_the_first_twenty_are_shown_and_all_are_counted(sample: Path, complaint: Callable[[], DataError]) -> None:
    edit_rows(sample / "catalog" / "catalog.jsonl", lambda rows: [row.pop("description") for row in rows])
    error = complaint()
    assert "30 problem(s) in the raw data" in error.message
    assert error.message.count("description: Field required") == 20
    assert error.message.endswith("... and 10 more")


def test_untitled_garments_are_named(sample: Path, complaint: Callable[[], DataError]) -> None:
    edit_rows(sample / "outfits" / "items.jsonl", lambda rows: rows[3].update(title=""))
    edit_rows(sample / "outfits" / "items.jsonl", lambda rows: rows[4].pop("image"))
    edit_rows(sample / "catalog" / "catalog.jsonl", lambda rows: rows[5].update(description=""))
    error = complaint()
    assert "sample/outfits/items.jsonl, row 4: title and image must not be empty" in error.message
    assert "sample/outfits/items.jsonl, row 5: title and image must not be empty" in error.message
    assert "sample/catalog/catalog.jsonl, row 6: title and description must not be empty" in error.message
    assert "3 problem(s)" in error.message


@pytest.mark.parametrize(
    ("box", "complaint_part"),
    [
        ([-1, 0, 20, 20], "is empty or outside"),
        ([0, 0, 0, 20], "is empty or outside"),
        ([0, 90, 20, 20], "is empty or outside"),
        ([0, 0, float("nan"), 20], "is empty or outside"),
        ([0, 0, 20], "bbox.3: Field required"),
        (["left", 0, 20, 20], "bbox.0: Input should be a valid number"),
    ],
)
def test_a_wrong_box_is_named(
    box: list[Any], complaint_part: str, sample: Path, complaint: Callable[[], DataError]
) -> None:
    edit_coco(sample, lambda table: table["annotations"][0].update(bbox=box))
    error = complaint()
    assert complaint_part in error.message
    assert "1 problem(s)" in error.message


@pytest.mark.parametrize(
    "content", ["", "{broken", "[]", "{}", '{"images": []}', '{"images": 3, "annotations": []}', None]
)
def test_a_broken_table_of_photos_is_named(
    content: str | None, sample: Path, complaint: Callable[[], DataError]
) -> None:
    path = sample / "detection" / "annotations.json"
    path.unlink()
    if content is not None:
        path.write_text(content)
    error = complaint()
    assert str(path) in error.message
    assert "aura data import" in error.hint


@pytest.mark.parametrize("name", ["outfits/items.jsonl", "outfits/outfits.jsonl", "catalog/catalog.jsonl"])
def test_a_broken_or_missing_line_file_is_named(name: str, sample: Path, complaint: Callable[[], DataError]) -> None:
    path = sample / name
    lines = path.read_text().splitlines()
    path.unlink()
    assert f"no {path}" in complaint().message
    path.write_text("\n".join([lines[0], lines[1][:20]]))
    assert f"sample/{name}, row 2: not JSON" in complaint().message
    path.write_text("\n".join([lines[0], lines[1], "[1, 2]"]))
    assert f"sample/{name}, row 3: not a JSON object" in complaint().message


def test_one_question_or_id_twice_is_named(knowledge: Path, complaint: Callable[[], DataError]) -> None:
    rows = read_lines(knowledge / "dialogues" / "all.jsonl")
    write_lines(knowledge / "dialogues" / "more.jsonl", [rows[3], dialogue(99, id="talk-4")])
    error = complaint()
    assert "dialogue ids: 'talk-3' appears twice" in error.message
    assert "dialogue ids: 'talk-4' appears twice" in error.message
    assert "first questions of dialogues: 'question 3?' appears twice" in error.message
    assert "3 problem(s)" in error.message


def test_broken_pages_and_queries_are_named(knowledge: Path, complaint: Callable[[], DataError]) -> None:
    write_lines(knowledge / "queries" / "all.jsonl", [{"query": "how to wash silk", "relevant": ["silk"]}])
    assert "all.jsonl, row 1" in complaint().message
    for slug in ("linen", "wool"):
        (knowledge / f"{slug}.md").write_text("no front matter")
    message = complaint().message
    assert "2 of 3 knowledge pages are broken" in message
    assert "linen.md" in message
    assert "wool.md" in message


def test_an_item_of_two_sources_is_named(sample: Path, knowledge: Path, tmp_path: Path, tiny: DataSettings) -> None:
    # Another source with the same item id: one would silently take the other's picture.
    row = read_lines(sample / "catalog" / "catalog.jsonl")[0]
    other = sample.with_name("clothing") / "catalog"
    (other / "images").mkdir(parents=True)
    Image.new("RGB", (64, 64), "red").save(other / row["image"])
    write_lines(other / "catalog.jsonl", [row])
    (other.parent / "source.json").write_text(json.dumps({"name": "clothing"}))
    with pytest.raises(DataError, match=f"catalogs of all sources: '{row['item_id']}' appears twice"):
        prepare(tiny.model_copy(update={"sources": ["sample", "clothing"]}), sample.parent, knowledge, tmp_path / "out")


def test_categories_that_are_not_ours_are_named(sample: Path, complaint: Callable[[], DataError]) -> None:
    def rename(table: dict[str, Any]) -> None:
        table["categories"][1]["name"] = "capes"
        table["categories"][2]["id"], table["categories"][3]["id"] = 3, 2
        del table["categories"][4]["name"]

    edit_coco(sample, rename)
    message = complaint().message
    assert "sample/detection/categories, row 2: name: Input should be 'tops', 'bottoms'" in message
    assert "(got 'capes')" in message
    assert "sample/detection/categories, row 3: outerwear has the id 3; it must be 2" in message
    assert "sample/detection/categories, row 4: all-body has the id 2; it must be 3" in message
    assert "sample/detection/categories, row 5: name: Field required" in message
    assert message.startswith("4 problem(s)")


def test_a_crowd_is_no_garment(sample: Path, complaint: Callable[[], DataError]) -> None:
    edit_coco(sample, lambda table: table["annotations"][0].update(iscrowd=1))
    assert "sample/detection/annotations, row 1: iscrowd: Input should be 0 (got 1)" in complaint().message


def test_splits_that_nothing_could_be_learnt_from_are_named(
    sample: Path, knowledge: Path, complaint: Callable[[], DataError]
) -> None:
    def keep_one_group(table: dict[str, Any]) -> None:
        table["images"] = [row | {"group": "all"} for row in table["images"]]

    edit_coco(sample, keep_one_group)
    edit_rows(sample / "outfits" / "outfits.jsonl", lambda rows: [row.update(group="all") for row in rows])
    edit_rows(knowledge / "dialogues" / "all.jsonl", lambda rows: [row.update(group="all") for row in rows])
    message = complaint().message
    assert message.count("0 photos with 0 boxes; at least 2 photos and 1 box are needed: import more data") == 2
    for table in ("outfits", "dialogues"):
        assert message.count(f"  - {table}, ") == 2
    assert message.startswith("6 problem(s)")


def test_a_split_without_boxes_is_named(sample: Path, complaint: Callable[[], DataError]) -> None:
    edit_coco(sample, lambda table: table["annotations"].clear())
    assert complaint().message.count(" photos with 0 boxes; at least 2 photos and 1 box are needed") == 3


def test_a_picture_that_would_fail_in_the_training_is_named(sample: Path, complaint: Callable[[], DataError]) -> None:
    rows = read_lines(sample / "catalog" / "catalog.jsonl")
    whole = (sample / "catalog" / rows[0]["image"]).read_bytes()
    (sample / "catalog" / rows[0]["image"]).unlink()
    # Its header is whole, and says the right size.
    (sample / "catalog" / rows[0]["image"]).write_bytes(whole[: len(whole) * 2 // 3])
    assert f"picture {Path(rows[0]['image']).name} is not readable" in complaint().message


@pytest.mark.parametrize("name", ["../000001.jpg", "a/b.jpg", "x" * 300 + ".jpg"])
def test_a_picture_elsewhere_or_of_a_long_name_is_named(
    name: str, sample: Path, complaint: Callable[[], DataError]
) -> None:
    edit_coco(sample, lambda table: table["images"][0].update(file_name=name))
    edit_rows(sample / "catalog" / "catalog.jsonl", lambda rows: rows[0].update(image=f"images/{name}"))
    message = complaint().message
    assert message.count("is not the name of a file in images/, of at most 255 bytes") == 2


def test_a_folder_that_is_not_prepared_data_stays(
    sample: Path, knowledge: Path, tmp_path: Path, tiny: DataSettings
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "wedding.jpg").write_bytes(b"the only copy")
    with pytest.raises(ForeignFolderError, match="photos"):
        prepare(tiny, sample.parent, knowledge, photos)
    with pytest.raises(SettingsError, match=r"--out .* would be replaced with --raw"):
        prepare(tiny, sample.parent, knowledge, sample.parent)
    assert [path.name for path in photos.iterdir()] == ["wedding.jpg"]
