"""Prepared outfits: checked rows, items read once into memory, batches of whole outfits.

Text embeddings and pictures (64 px: 12 KB an item, so 100,000 items take 1.2 GB) never change during a training, so they
are computed before the first epoch, once for the garments of the training and the validation split together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from aura.errors import DataError
from aura.pictures import turned_upright
from aura.taxonomy import Category
from inference.outfits.items import MAX_OUTFIT_ITEMS, Item
from inference.outfits.model import pad_members
from inference.outfits.towers import FrozenTowers, ItemTensors
from training.outfits.negatives import Outfits
from training.outfits.settings import OutfitsSettings
from training.trainer import EpochShuffle, resumed_epoch

Split = Literal["train", "val", "test"]
_PREPARE = "run the prepare stage again: aura data prepare"
_READ_CHUNK = 256


@dataclass(frozen=True)
class ItemRow:
    """One line of `items.jsonl`."""

    item_id: str
    category: Category
    title: str
    attributes: dict[str, str]
    image: Path | None

    def item(self) -> Item:
        """The item with its picture in memory.

        Raises:
            DataError: the picture is missing or broken.
        """
        return Item(self.item_id, self.category, self.title, self.attributes, self._picture())

    def _picture(self) -> Image.Image | None:
        if self.image is None:
            return None
        try:
            with Image.open(self.image) as opened:
                # Transparency and depth stay: `inference.outfits.items` decides what they become, as in serving.
                return turned_upright(opened)
        except (OSError, UnidentifiedImageError) as error:
            raise DataError(
                f"the picture of item {self.item_id!r} cannot be read: {self.image} ({error})", hint=_PREPARE
            ) from error


@dataclass(frozen=True)
class OutfitRow:
    """One line of `train.jsonl`, `val.jsonl` or `test.jsonl`."""

    outfit_id: str
    group: str
    items: tuple[str, ...]


@dataclass(frozen=True)
class OutfitTables:
    """All prepared outfits and their items."""

    items: dict[str, ItemRow]
    outfits: dict[Split, list[OutfitRow]]

    def used_in(self, *splits: Split) -> list[str]:
        """Sorted ids of the items that outfits of these splits hold."""
        return sorted({item for split in splits for outfit in self.outfits[split] for item in outfit.items})


def read_tables(data_dir: Path) -> OutfitTables:
    """Read and check `<data_dir>/outfits`.

    Raises:
        DataError: a file is missing, a line is broken, an outfit names an unknown item or has no or too many items.
    """
    folder = data_dir / "outfits"
    items = {row.item_id: row for row in _item_rows(folder)}
    splits: dict[Split, list[OutfitRow]] = {}
    for split in ("train", "val", "test"):
        rows = list(_outfit_rows(folder, split))
        for row in rows:
            unknown = [item for item in row.items if item not in items]
            if unknown:
                raise DataError(f"outfit {row.outfit_id!r} of {split} names unknown items {unknown}", hint=_PREPARE)
            if not 1 <= len(row.items) <= MAX_OUTFIT_ITEMS or len(set(row.items)) != len(row.items):
                raise DataError(
                    f"outfit {row.outfit_id!r} of {split} has the items {list(row.items)}; allowed are 1 to "
                    f"{MAX_OUTFIT_ITEMS} different ones", hint=_PREPARE,
                )  # fmt: skip
        splits[split] = rows
    if not splits["train"]:
        raise DataError(f"no outfits to train on in {folder}", hint=_PREPARE)
    return OutfitTables(items, splits)


def _item_rows(folder: Path) -> Iterator[ItemRow]:
    for line in _lines(folder / "items.jsonl", ("item_id", "category")):
        try:
            category = Category(line["category"])
        except ValueError as error:
            raise DataError(
                f"item {line['item_id']!r} has the unknown category {line['category']!r}; known: {', '.join(Category)}",
                hint=_PREPARE,
            ) from error
        image = folder / line["image"] if line.get("image") else None
        yield ItemRow(str(line["item_id"]), category, line.get("title") or "", line.get("attributes") or {}, image)


def _outfit_rows(folder: Path, split: Split) -> Iterator[OutfitRow]:
    for line in _lines(folder / f"{split}.jsonl", ("outfit_id", "group", "items")):
        items = line["items"]
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise DataError(
                f"outfit {line['outfit_id']!r} of {split} needs a list of item ids, not {items!r}", hint=_PREPARE
            )
        yield OutfitRow(str(line["outfit_id"]), str(line["group"]), tuple(items))


def _lines(path: Path, required: Sequence[str]) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise DataError(f"prepared outfits lack {path.name} ({path})", hint=_PREPARE)
    with path.open("rb") as stream:
        for number, text in enumerate(stream, start=1):
            try:
                line = json.loads(text)
            except (json.JSONDecodeError, UnicodeDecodeError) as error:
                raise DataError(f"{path}, line {number} is not JSON: {error}", hint=_PREPARE) from error
            missing = [key for key in required if not isinstance(line, dict) or key not in line]
            if missing:
                raise DataError(f"{path}, line {number} lacks {', '.join(missing)}", hint=_PREPARE)
            yield line


@dataclass(frozen=True)
class ItemTable:
    """Tensors of many items in memory, by item id."""

    tensors: ItemTensors
    row: dict[str, int]

    @staticmethod
    def read(rows: Sequence[ItemRow], towers: FrozenTowers) -> ItemTable:
        parts = []
        with tqdm(total=len(rows), desc="reading items", unit="item") as bar:
            for start in range(0, len(rows), _READ_CHUNK):
                chunk = rows[start : start + _READ_CHUNK]
                parts.append(towers.read([row.item() for row in chunk]))
                bar.update(len(chunk))
        return ItemTable(ItemTensors.concatenate(parts), {row.item_id: place for place, row in enumerate(rows)})

    def only(self, items: Sequence[str]) -> ItemTable:
        """The table of some of the items."""
        rows = torch.tensor([self.row[item] for item in items], dtype=torch.long)
        return ItemTable(self.tensors.take(rows), {item: place for place, item in enumerate(items)})


@dataclass(frozen=True)
class OutfitBatch:
    """Some outfits and their distinct items."""

    items: ItemTensors
    outfits: Outfits

    def to(self, device: torch.device | str) -> OutfitBatch:
        moved = Outfits(self.outfits.members.to(device), self.outfits.present.to(device))
        return OutfitBatch(self.items.to(device), moved)


class OutfitDataset(Dataset[list[int]]):
    """Outfits as rows of an item table."""

    def __init__(self, outfits: Sequence[OutfitRow], table: ItemTable) -> None:
        self._rows = [[table.row[item] for item in outfit.items] for outfit in outfits]
        self._table = table

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> list[int]:
        return self._rows[index]

    def collate(self, outfits: Sequence[list[int]]) -> OutfitBatch:
        """Batch whose items are distinct: a garment in two outfits is encoded once and is nobody's negative there."""
        distinct = np.unique(np.concatenate([np.asarray(outfit) for outfit in outfits]))
        local = [np.searchsorted(distinct, outfit).tolist() for outfit in outfits]
        return OutfitBatch(self._table.tensors.take(torch.from_numpy(distinct)), Outfits(*pad_members(local)))


class OutfitsData(lightning.LightningDataModule):
    """Training outfits in an order that depends on (seed, epoch) alone; validation outfits in file order."""

    def __init__(self, settings: OutfitsSettings, tables: OutfitTables, table: ItemTable, seed: int) -> None:
        super().__init__()
        self._settings, self._seed = settings, seed
        self._train = OutfitDataset(tables.outfits["train"], table)
        self._val = OutfitDataset(tables.outfits["val"], table)

    def train_dataloader(self) -> DataLoader[list[int]]:
        return self._loader(self._train, EpochShuffle(len(self._train), self._seed, resumed_epoch(self)))

    def val_dataloader(self) -> DataLoader[list[int]]:
        return self._loader(self._val, None)

    def _loader(self, dataset: OutfitDataset, sampler: EpochShuffle | None) -> DataLoader[list[int]]:
        return DataLoader(
            dataset,
            batch_size=self._settings.batch_size,
            sampler=sampler,
            collate_fn=dataset.collate,
            num_workers=self._settings.num_workers,
            persistent_workers=self._settings.num_workers > 0,
        )
