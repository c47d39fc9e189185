"""Prepared outfits: checked rows, items read once into memory, batches of whole outfits.

What the frozen encoders give (9 KB per item, so 100,000 items take 0.9 GB) never changes during a training, so it is computed
before the first epoch, once for the garments of the training and the validation split together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import lightning
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from aura.errors import DataError
from aura.pictures import PictureError, read_picture
from aura.prepared_rows import PREPARE_AGAIN, SPLITS, ItemRow, OutfitRow, Split, iter_rows, read_rows
from aura.taxonomy import Category
from inference.outfits.items import MAX_OUTFIT_ITEMS, Item
from inference.outfits.model import pad_members
from inference.outfits.picture_titles import titled
from inference.outfits.towers import FrozenTowers, ItemTensors
from training.outfits.negatives import Outfits
from training.outfits.settings import OutfitsSettings
from training.trainer import EpochShuffle, resumed_epoch

_READ_CHUNK = 256


def as_served(row: ItemRow, *, titles: bool = True) -> Item:
    """The item of a row whose `image` is a path of this machine, with the image in memory, as the served model reads it.

    Args:
        titles: False: as users send what they photograph. The title is then the one that the picture gives, as it is in any
            case where there is no other.

    Raises:
        DataError: the image is missing or broken.
    """
    return replace(named(row, titles=titles), image=_open_image(row.image, row.item_id))


def named(row: ItemRow, *, titles: bool = True) -> Item:
    """As `as_served`, without the image."""
    if titles and row.title.strip():
        return Item(row.item_id, row.category, row.title, row.attributes)
    title = _title_by_picture(row.image, row.category, row.item_id)
    return Item(row.item_id, row.category, title, row.attributes, title_from_picture=bool(title))


@lru_cache(maxsize=200_000)
def _title_by_picture(path: str | None, category: Category, item_id: str) -> str:
    """Remembered: champion, challenger and controls ask about the same garments."""
    return titled(Item(item_id, category, image=_open_image(path, item_id))).title


def _open_image(path: str | None, item_id: str) -> Image.Image | None:
    if not path:
        return None
    try:
        return read_picture(Path(path), path).image
    except PictureError as error:
        raise DataError(
            f"the picture of item {item_id!r} cannot be read: {error.message}", hint=PREPARE_AGAIN
        ) from error


@dataclass(frozen=True)
class OutfitTables:
    """All prepared outfits and their items."""

    items: dict[str, ItemRow]
    outfits: dict[Split, list[OutfitRow]]

    def used_in(self, *splits: Split) -> list[str]:
        """Sorted ids of the items that outfits of these splits hold."""
        return sorted({item for split in splits for outfit in self.outfits[split] for item in outfit.items})


def read_tables(data_dir: Path) -> OutfitTables:
    """Read and check `<data_dir>/outfits`; the images of the items become paths of this machine.

    Raises:
        DataError: a file is missing, a row is broken, an outfit names an unknown item or has no or too many items.
    """
    folder = data_dir / "outfits"
    items = _items(folder)
    outfits: dict[Split, list[OutfitRow]] = {}
    for split in SPLITS:
        outfits[split] = read_rows(folder / f"{split}.jsonl", OutfitRow)
        for outfit in outfits[split]:
            _check(outfit, split, items)
    if not outfits["train"]:
        raise DataError(f"no outfits to train on in {folder}", hint=PREPARE_AGAIN)
    return OutfitTables(items, outfits)


def with_saved(tables: OutfitTables, folder: Path | None) -> OutfitTables:
    """The tables with the outfits that people have saved among the training outfits; as they are where there is no folder.

    Raises:
        DataError: as `read_tables`.
    """
    if folder is None:
        return tables
    items = _items(folder) | tables.items
    saved = read_rows(folder / "outfits.jsonl", OutfitRow)
    for outfit in saved:
        _check(outfit, "train", items)
    return OutfitTables(items, {**tables.outfits, "train": [*tables.outfits["train"], *saved]})


def _items(folder: Path) -> dict[str, ItemRow]:
    return {
        row.item_id: row.model_copy(update={"image": str(folder / row.image)}) if row.image else row
        for row in iter_rows(folder / "items.jsonl", ItemRow)
    }


def _check(outfit: OutfitRow, split: Split, items: Mapping[str, ItemRow]) -> None:
    unknown = [item_id for item_id in outfit.items if item_id not in items]
    if unknown:
        raise DataError(f"outfit {outfit.outfit_id!r} of {split} names unknown items {unknown}", hint=PREPARE_AGAIN)
    if not 1 <= len(outfit.items) <= MAX_OUTFIT_ITEMS or len(set(outfit.items)) != len(outfit.items):
        raise DataError(
            f"outfit {outfit.outfit_id!r} of {split} has the items {list(outfit.items)}; allowed are 1 to "
            f"{MAX_OUTFIT_ITEMS} different ones", hint=PREPARE_AGAIN,
        )  # fmt: skip


@dataclass(frozen=True)
class ItemTable:
    """Tensors of many items in memory.

    Attributes:
        tensors: as served with their titles.
        untitled_text: `ItemTensors.text` of the items as served without titles: pictures give some.
        row: item id to row.
    """

    tensors: ItemTensors
    untitled_text: Tensor
    row: dict[str, int]

    @staticmethod
    def read(rows: Sequence[ItemRow], towers: FrozenTowers) -> ItemTable:
        batches, texts = [], []
        with tqdm(total=len(rows), desc="reading items", unit="item") as bar:
            for start in range(0, len(rows), _READ_CHUNK):
                chunk = rows[start : start + _READ_CHUNK]
                batches.append(towers.read([as_served(row) for row in chunk]))
                texts.append(towers.read_texts([named(row, titles=False) for row in chunk]))
                bar.update(len(chunk))
        row = {row.item_id: index for index, row in enumerate(rows)}
        return ItemTable(ItemTensors.concatenate(batches), torch.cat(texts), row)

    def only(self, items: Sequence[str]) -> ItemTable:
        """The table of some of the items."""
        rows = torch.tensor([self.row[item] for item in items], dtype=torch.long)
        row = {item: index for index, item in enumerate(items)}
        return ItemTable(self.tensors.take(rows), self.untitled_text[rows], row)

    def untitled(self) -> ItemTensors:
        """The items as served without titles."""
        return replace(self.tensors, text=self.untitled_text)


@dataclass(frozen=True)
class OutfitBatch:
    """Some outfits and their distinct items; `untitled_text`: see `ItemTable`."""

    items: ItemTensors
    untitled_text: Tensor
    outfits: Outfits

    def to(self, device: torch.device | str) -> OutfitBatch:
        moved = Outfits(self.outfits.members.to(device), self.outfits.present.to(device))
        return OutfitBatch(self.items.to(device), self.untitled_text.to(device), moved)


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
        """Batch whose items are distinct: a garment in two outfits is encoded once, and is no negative for either outfit."""
        distinct = np.unique(np.concatenate([np.asarray(outfit) for outfit in outfits]))
        local = [np.searchsorted(distinct, outfit).tolist() for outfit in outfits]
        rows = torch.from_numpy(distinct)
        return OutfitBatch(
            self._table.tensors.take(rows), self._table.untitled_text[rows], Outfits(*pad_members(local))
        )


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
