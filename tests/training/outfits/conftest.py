"""Prepared outfits that follow one rule, all garments of one colour, and settings that learn it in seconds."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aura.prepared_rows import ItemRow, OutfitRow
from aura.taxonomy import Category
from aura.tracking import LocalTracker
from inference.outfits.towers import FrozenTowers
from inference.references import DESCRIPTOR_REFERENCE
from training.context import TrainContext
from training.outfits.settings import OutfitsSettings

COLOURS = {
    "red": (205, 35, 40), "green": (40, 150, 60), "blue": (35, 60, 190),
    "yellow": (230, 205, 50), "black": (25, 25, 30), "pink": (240, 150, 190),
}  # fmt: skip
COUNTS = {"train": 60, "val": 24, "test": 24}
_WORN = (Category.TOPS, Category.BOTTOMS)


def _write_picture(path: Path, colour: str, rng: np.random.Generator) -> None:
    """A garment of one colour on white, a little lighter or darker and of another size each time."""
    pixels = np.full((24, 20, 3), 255, dtype=np.uint8)
    top, left = rng.integers(1, 5, 2)
    shade = np.clip(np.array(COLOURS[colour]) + rng.integers(-18, 18), 0, 255)
    pixels[top : 24 - rng.integers(1, 5), left : 20 - rng.integers(1, 5)] = shade
    Image.fromarray(pixels).save(path)


def write_outfits(data: Path) -> Path:
    """`DATA/outfits`: a top and a bottom of their own each, and shoes that several outfits share. No title says a colour."""
    folder = data / "outfits"
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    items: list[dict[str, Any]] = []

    def add(item_id: str, category: Category, colour: str) -> str:
        _write_picture(folder / "images" / f"{item_id}.png", colour, rng)
        items.append(
            {"item_id": item_id, "category": category.value, "title": "plain garment" if len(items) % 2 else "",
             "attributes": {"colour": colour}, "image": f"images/{item_id}.png"}
        )  # fmt: skip
        return item_id

    shoes = {colour: [add(f"shoes-{colour}-{n}", Category.SHOES, colour) for n in range(3)] for colour in COLOURS}
    for split, count in COUNTS.items():
        rows = []
        for number in range(count):
            colour = list(COLOURS)[number % len(COLOURS)]
            worn = [add(f"{category.value}-{split}-{number}", category, colour) for category in _WORN]
            pair = shoes[colour][min(int(rng.integers(4)), 2)]
            rows.append({"outfit_id": f"{split}-{number}", "group": f"{split}-{number}", "items": [*worn, pair]})
        write_rows(folder / f"{split}.jsonl", rows)
    write_rows(folder / "items.jsonl", items)
    return data


def write_rows(path: Path, rows: Sequence[object]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def read_rows(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_outfits(tmp_path_factory.mktemp("data"))


@pytest.fixture
def own_data(tmp_path: Path, prepared: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(prepared, tmp_path / "own"))


def quick_settings(**changes: Any) -> OutfitsSettings:
    """A tiny network for two epochs of four steps."""
    return OutfitsSettings.model_validate(
        {
            "network": {
                "image_tower": DESCRIPTOR_REFERENCE, "image_dim": 8, "text_dim": 8, "layers": 1, "heads": 2,
                "feedforward_dim": 32, "embedding_dim": 8, "dropout": 0.1,
            },
            "max_epochs": 2, "batch_size": 16, "learning_rate": 1e-2, "accelerator": "cpu", "max_questions": 60,
        } | changes
    )  # fmt: skip


@pytest.fixture
def quick() -> OutfitsSettings:
    return quick_settings()


@pytest.fixture(scope="session")
def towers() -> FrozenTowers:
    return FrozenTowers(quick_settings().network)


def make_context(folder: Path, data_dir: Path, base_dir: Path | None = None, seed: int = 5) -> TrainContext:
    """Context with fresh folders below `folder`; what lies in `checkpoints/` stays."""
    for name in ("out", "checkpoints", "plots"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    return TrainContext(
        data_dir=data_dir, out_dir=folder / "out", checkpoint_dir=folder / "checkpoints",
        plots_dir=folder / "plots", base_dir=base_dir, tracker=LocalTracker(folder / "checkpoints"), seed=seed,
    )  # fmt: skip


def rows_of(**categories: int) -> dict[str, ItemRow]:
    """Items with a title and no picture, for example `tops=2`: `tops-0` and `tops-1`."""
    rows = {}
    for category, count in categories.items():
        for number in range(count):
            item_id = f"{category}-{number}"
            rows[item_id] = ItemRow(item_id=item_id, category=Category(category), title=f"number {number}")
    return rows


def outfit_of(*items: str) -> OutfitRow:
    return OutfitRow(outfit_id="-".join(items), group="group", items=items)
