"""Prepared outfits in, batches out; training and serving see a garment alike."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from aura.errors import DataError
from aura.prepared_rows import ItemRow
from aura.taxonomy import Category
from inference.outfits.items import Item
from inference.outfits.picture_titles import titled
from inference.outfits.towers import FrozenTowers
from tests.training.outfits.conftest import COUNTS, outfit_of, quick_settings, read_rows, rows_of, write_rows
from training.outfits.data import ItemTable, OutfitDataset, OutfitsData, as_served, named, read_tables


def _change(path: Path, line: int, **values: Any) -> None:
    rows = read_rows(path)
    rows[line] |= values
    write_rows(path, rows)


def test_items_and_outfits_are_read(prepared: Path) -> None:
    tables = read_tables(prepared)
    assert {split: len(rows) for split, rows in tables.outfits.items()} == COUNTS
    assert len(tables.items) == 18 + 2 * sum(COUNTS.values())
    row = tables.items["tops-val-1"]
    assert row.category is Category.TOPS
    assert row.attributes == {"colour": "green"}
    item = as_served(row)
    assert item.image is not None
    assert item.image.size == (20, 24)
    first = tables.outfits["test"][0]
    assert (first.outfit_id, first.group) == ("test-0", "test-0")
    assert [tables.items[name].category.value for name in first.items] == ["tops", "bottoms", "shoes"]


def test_the_items_of_some_splits_are_named_once(prepared: Path) -> None:
    tables = read_tables(prepared)
    for splits in (("val",), ("val", "test")):
        expected = {item for split in splits for outfit in tables.outfits[split] for item in outfit.items}
        assert tables.used_in(*splits) == sorted(expected)
    assert set(tables.used_in("train")) & set(tables.used_in("val"))


def test_title_attributes_and_picture_may_be_missing(own_data: Path) -> None:
    rows = read_rows(own_data / "outfits" / "items.jsonl")
    rows[0] = {"item_id": rows[0]["item_id"], "category": "shoes"}
    rows[1] |= {"title": None, "attributes": None, "image": None}
    write_rows(own_data / "outfits" / "items.jsonl", rows)
    items = read_tables(own_data).items
    for row in rows[:2]:
        item = as_served(items[row["item_id"]])
        assert (item.title, item.attributes, item.image) == ("", {}, None)


@pytest.mark.parametrize("name", ["items.jsonl", "train.jsonl", "val.jsonl", "test.jsonl"])
def test_a_missing_file_says_what_to_do(own_data: Path, name: str) -> None:
    (own_data / "outfits" / name).unlink()
    with pytest.raises(DataError, match=f"(?s){name} is missing.*aura data prepare"):
        read_tables(own_data)


@pytest.mark.parametrize("line", [b'{"item_id": "a", "cat', b"{", b'{"item_id": "\xff", "category": "tops"}'])
@pytest.mark.parametrize("name", ["items.jsonl", "val.jsonl"])
def test_a_broken_line_is_named(own_data: Path, name: str, line: bytes) -> None:
    path = own_data / "outfits" / name
    lines = path.read_bytes().splitlines()
    lines[2] = line
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=f"(?s){name}.*row 3: not JSON"):
        read_tables(own_data)


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("items.jsonl", {"item_id": "a"}, "row 1: category: Field required"),
        ("items.jsonl", ["item_id", "category"], "row 1: not a JSON object"),
        ("val.jsonl", {"items": []}, "row 1: outfit_id: Field required; group: Field required"),
        ("val.jsonl", "text", "row 1: not a JSON object"),
    ],
)
def test_a_line_without_a_needed_key_is_named(own_data: Path, name: str, line: object, said: str) -> None:
    write_rows(own_data / "outfits" / name, [line])
    with pytest.raises(DataError, match=said):
        read_tables(own_data)


@pytest.mark.parametrize("category", ["capes", "Tops", None, ["tops"]])
def test_an_unknown_category_is_named_beside_the_known_ones(own_data: Path, category: object) -> None:
    _change(own_data / "outfits" / "items.jsonl", 4, category=category)
    with pytest.raises(
        DataError, match=r"(?s)items\.jsonl.*row 5: category: Input should be 'tops', 'bottoms'"
    ) as caught:
        read_tables(own_data)
    assert repr(category) in caught.value.message


@pytest.mark.parametrize("split", ["train", "val", "test"])
def test_an_outfit_of_unknown_items_is_named(own_data: Path, split: str) -> None:
    _change(own_data / "outfits" / f"{split}.jsonl", 3, items=["tops-val-1", "cape-7"])
    with pytest.raises(DataError, match=rf"'{split}-3' of {split} names unknown items \['cape-7'\]"):
        read_tables(own_data)


@pytest.mark.parametrize("items", [[], [f"tops-train-{n}" for n in range(13)], ["tops-train-1", "tops-train-1"]])
def test_an_outfit_has_one_to_twelve_different_items(own_data: Path, items: list[str]) -> None:
    _change(own_data / "outfits" / "val.jsonl", 3, items=items)
    with pytest.raises(DataError, match=r"'val-3' of val.*1 to 12 different"):
        read_tables(own_data)
    _change(own_data / "outfits" / "val.jsonl", 3, items=[f"tops-train-{n}" for n in range(12)])
    assert len(read_tables(own_data).outfits["val"][3].items) == 12


@pytest.mark.parametrize("items", [None, 5, "tops-train-1", [["tops-train-1"]], {"tops-train-1": 1}])
def test_items_that_are_no_list_of_names_are_refused(own_data: Path, items: object) -> None:
    _change(own_data / "outfits" / "val.jsonl", 3, items=items)
    with pytest.raises(DataError, match=r"(?s)val\.jsonl.*row 4: items"):
        read_tables(own_data)


def test_no_training_outfits_are_an_error(own_data: Path) -> None:
    (own_data / "outfits" / "train.jsonl").write_text("")
    with pytest.raises(DataError, match="no outfits to train on"):
        read_tables(own_data)


@pytest.mark.parametrize("what", ["missing", "cut off", "no picture"])
def test_a_broken_picture_names_item_and_file(own_data: Path, towers: FrozenTowers, what: str) -> None:
    row = read_tables(own_data).items["tops-train-3"]
    assert row.image is not None
    image = Path(row.image)
    content = image.read_bytes()
    if what == "missing":
        image.unlink()
    else:
        image.write_bytes(content[: len(content) // 2] if what == "cut off" else b"no picture")
    with pytest.raises(DataError, match=r"'tops-train-3'.*tops-train-3\.png"):
        ItemTable.read([row], towers)


def _transparent() -> Image.Image:
    picture = Image.new("RGBA", (10, 10), (0, 0, 0, 0))
    picture.paste((200, 30, 40, 255), (2, 2, 8, 8))
    return picture


def _palette() -> Image.Image:
    return _transparent().quantize(8)


def _sixteen_bit() -> Image.Image:
    return Image.fromarray(np.full((10, 6), 20_000, np.uint16))


def _sideways() -> Image.Image:
    picture = Image.new("RGB", (12, 6), (200, 30, 40))
    picture.paste((20, 30, 200), (0, 0, 6, 6))
    picture.getexif()[274] = 6
    return picture


@pytest.mark.parametrize("picture", [_transparent, _palette, _sixteen_bit, _sideways])
def test_training_reads_a_picture_as_serving_does(tmp_path: Path, towers: FrozenTowers, picture: Any) -> None:
    stream = io.BytesIO()
    picture().save(stream, "PNG", exif=picture().getexif())
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    served = towers.read([Item("a", Category.BAGS, "bag", image=Image.open(stream))])
    row = ItemRow(item_id="a", category=Category.BAGS, title="bag", image=str(tmp_path / "a.png"))
    trained = ItemTable.read([row], towers).tensors
    assert torch.equal(trained.image, served.image)
    assert torch.equal(trained.text, served.text)
    assert trained.has_image.all()


def test_an_item_table_keeps_rows_and_names_together(prepared: Path, towers: FrozenTowers) -> None:
    tables = read_tables(prepared)
    names = tables.used_in("val")
    table = ItemTable.read([tables.items[name] for name in names], towers)
    assert len(table.tensors) == len(names)
    few = table.only(names[5:1:-2])
    assert list(few.row) == names[5:1:-2]
    for name, place in few.row.items():
        (alone,) = towers.read([as_served(tables.items[name])]).image
        assert torch.equal(few.tensors.image[place], alone)
        assert torch.equal(table.tensors.image[table.row[name]], alone)


def test_more_items_than_are_read_at_once(towers: FrozenTowers) -> None:
    rows = list(rows_of(tops=200, bags=100).values())
    table = ItemTable.read(rows, towers)
    assert table.tensors.category.tolist() == [0] * 200 + [5] * 100
    assert not table.tensors.has_image.any()
    assert table.row["bags-99"] == 299


def test_a_batch_holds_each_garment_once(towers: FrozenTowers) -> None:
    rows = rows_of(tops=3, bags=2, hats=1)
    table = ItemTable.read(list(rows.values()), towers)
    outfits = [
        outfit_of("tops-2", "bags-1"), outfit_of("hats-0", "tops-2", "bags-0"), outfit_of("tops-0"),
    ]  # fmt: skip
    dataset = OutfitDataset(outfits, table)
    batch = dataset.collate([dataset[number] for number in range(len(dataset))])
    assert len(batch.items) == 5
    assert batch.outfits.present.sum(dim=1).tolist() == [2, 3, 1]
    names = list(table.row)
    distinct = [names[row] for row in sorted({row for number in range(3) for row in dataset[number]})]
    for outfit, members, present in zip(outfits, batch.outfits.members, batch.outfits.present, strict=True):
        assert [distinct[row] for row in members[present].tolist()] == list(outfit.items)
    assert batch.items.category.tolist() == [list(Category).index(rows[name].category) for name in distinct]


def test_without_titles_garments_are_called_by_their_pictures(prepared: Path, towers: FrozenTowers) -> None:
    row = read_tables(prepared).items["tops-val-1"]
    for titles, title in ((True, row.title or "Green top"), (False, "Green top")):
        for item in (as_served(row, titles=titles), named(row, titles=titles)):
            assert (item.item_id, item.category, item.title) == (row.item_id, row.category, title)
    assert named(row).image is None
    # What the served model makes of it by itself.
    picture = as_served(row).image
    assert titled(Item("a", row.category, image=picture)).title == "Green top"
    titled_row = row.model_copy(update={"title": "Linen shirt"})
    table = ItemTable.read([titled_row], towers)
    untitled = towers.read([titled(Item("a", row.category, image=picture))])
    assert torch.equal(table.untitled().text, untitled.text)
    assert torch.equal(table.untitled().image, untitled.image)
    assert not torch.equal(table.tensors.text, untitled.text)


def test_each_outfit_is_shown_once_an_epoch_in_an_order_of_its_own(prepared: Path, towers: FrozenTowers) -> None:
    tables = read_tables(prepared)
    table = ItemTable.read([tables.items[name] for name in tables.used_in("train", "val")], towers)

    def order(seed: int, epoch: int) -> list[int]:
        loader = OutfitsData(quick_settings(), tables, table, seed).train_dataloader()
        loader.sampler.set_epoch(epoch)
        assert [len(batch.outfits) for batch in loader] == [16, 16, 16, 12]
        return list(loader.sampler)

    assert sorted(order(1, 0)) == list(range(COUNTS["train"]))
    assert order(1, 3) == order(1, 3)
    assert order(1, 3) != order(1, 4)
    assert order(1, 3) != order(2, 3)
    validation = OutfitsData(quick_settings(), tables, table, 1).val_dataloader()
    assert list(validation.sampler) == list(range(COUNTS["val"]))
