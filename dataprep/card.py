"""The data card: what the prepared data holds, where it comes from, and pictures to look at."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from aura.artifact import write_text
from aura.taxonomy import CATEGORIES
from dataprep.raw_source import read_rows
from dataprep.settings import DataSettings, SourceName
from dataprep.splits import SPLITS

_PALETTE = (
    "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#5f5b57",
    "#1f9e89", "#8c564b",
)  # fmt: skip


def write_card(
    folder: Path,
    settings: DataSettings,
    notes: Mapping[SourceName, dict[str, Any]],
    counts: dict[str, Any],
    hashes: dict[str, str],
) -> None:
    """Write `card.md` and `card/*.png` into prepared data that is otherwise complete."""
    pictures = folder / "card"
    pictures.mkdir()
    _scenes(folder / "detection", pictures / "photos.png")
    _outfits(folder / "outfits", pictures / "outfits.png")
    _histogram(folder, pictures / "categories.png")
    _catalog(folder / "catalog", pictures / "catalog.png")
    write_text(folder / "card.md", _text(settings, notes, counts, hashes))


def _text(
    settings: DataSettings, notes: Mapping[SourceName, dict[str, Any]], counts: dict[str, Any], hashes: dict[str, str]
) -> str:
    photos, dialogues = (
        " / ".join(f"{share:g}" for share in (one.train, one.val, one.test))
        for one in (settings.split, settings.dialogue_split)
    )
    lines = ["# Data card", "", "## Sources", "", "| source | licence | holds | left out |", "|---|---|---|---|"]
    for source, note in notes.items():
        holds = ", ".join(f"{number} {what}" for what, number in note["counts"].items())
        skipped = ", ".join(f"{number} {reason}" for reason, number in note["skipped"].items()) or "nothing"
        lines.append(f"| {source} | {note['licence']} | {holds} | {skipped} |")
    lines += ["", "## Splits", "", "| | train | val | test |", "|---|---|---|---|"]
    for what in ("images", "boxes"):
        lines.append(f"| {what} | " + " | ".join(str(counts["detection"][split][what]) for split in SPLITS) + " |")
    for part in ("outfits", "chat"):
        name = {"outfits": "outfits", "chat": "conversations"}[part]
        lines.append(f"| {name} | " + " | ".join(str(counts[part][split]) for split in SPLITS) + " |")
    lines += [
        "",
        f"The split of a photo, outfit or conversation is decided by a hash of its id with seed {settings.split_seed} "
        f"(shares {photos}; of conversations {dialogues}), so it never changes when other rows come or go.",
        "",
        f"Outfits are made of {counts['outfits']['items']} items. The catalog has {counts['catalog']['items']} items, "
        f"the knowledge base {counts['knowledge']['pages']} pages.",
        "",
        "## Pictures",
        "",
        *(f"![{name}](card/{name}.png)\n" for name in ("photos", "outfits", "categories", "catalog")),
        "## Content",
        "",
        *(f"- {part}: `{digest}`" for part, digest in hashes.items()),
    ]
    return "\n".join(lines) + "\n"


def _grid(rows: int, columns: int, cell: tuple[float, float], title: str) -> tuple[Figure, list[Axes]]:
    # Figure without pyplot: no global state, and no display is needed.
    figure = Figure(figsize=(columns * cell[0], rows * cell[1] + 0.4), layout="constrained")
    figure.suptitle(title, fontsize=11, x=0.01, ha="left")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for axis in axes:
        axis.set_axis_off()
    return figure, axes


def _evenly(rows: list[Any], number: int) -> list[Any]:
    step = max(1, len(rows) // number)
    return rows[::step][:number]


def _aspect(images: list[dict[str, Any]]) -> float:
    """Height of a photo relative to its width, as most have it."""
    return statistics.median(image["height"] / image["width"] for image in images)


def _scenes(folder: Path, target: Path) -> None:
    table = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    figure, axes = _grid(3, 6, (1.7, 1.7 * _aspect(table["images"])), "Photos with their boxes (train)")
    for axis, image in zip(axes, _evenly(table["images"], len(axes)), strict=False):
        with Image.open(folder / "images" / image["file_name"]) as photo:
            axis.imshow(photo.convert("RGB"))
        for box in (one for one in table["annotations"] if one["image_id"] == image["id"]):
            x, y, width, height = box["bbox"]
            colour = _PALETTE[box["category_id"]]
            axis.add_patch(Rectangle((x, y), width, height, fill=False, color=colour, linewidth=1.2))
            axis.text(
                x + 1, y + 1, CATEGORIES[box["category_id"]].value, fontsize=4.5, color="white", va="top",
                bbox={"facecolor": colour, "pad": 0.6, "linewidth": 0},
            )  # fmt: skip
    figure.savefig(target, dpi=130)


def _outfits(folder: Path, target: Path) -> None:
    items = {row["item_id"]: row for row in read_rows(folder / "items.jsonl")}
    outfits = read_rows(folder / "train.jsonl")
    width = 7
    chosen = _evenly([outfit for outfit in outfits if len(outfit["items"]) <= width], 6)
    figure, axes = _grid(max(1, len(chosen)), width, (1.35, 1.65), "Outfits, one a row (train)")
    for place, outfit in enumerate(chosen):
        for column, item_id in enumerate(outfit["items"]):
            axis = axes[place * width + column]
            with Image.open(folder / items[item_id]["image"]) as picture:
                axis.imshow(picture.convert("RGB"))
            axis.set_title(_short(items[item_id]["title"]), fontsize=5.5, pad=2)
    figure.savefig(target, dpi=130)


def _catalog(folder: Path, target: Path) -> None:
    rows = read_rows(folder / "catalog.jsonl")
    ordered = sorted(rows, key=lambda row: list(CATEGORIES).index(row["category"]))
    figure, axes = _grid(5, 10, (1.1, 1.35), "Catalog")
    for axis, row in zip(axes, _evenly(ordered, len(axes)), strict=False):
        with Image.open(folder / row["image"]) as picture:
            axis.imshow(picture.convert("RGB"))
        axis.set_title(_short(row["title"]), fontsize=5, pad=2)
    figure.savefig(target, dpi=130)


def _short(title: str, line: int = 20) -> str:
    words, lines = title.split(), [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + len(word) >= line:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines[:2])


def _histogram(folder: Path, target: Path) -> None:
    names = [category.value for category in CATEGORIES]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axis = figure.subplots()
    bottom = [0] * len(names)
    for split, colour in zip(SPLITS, ("#4e79a7", "#f28e2b", "#59a14f"), strict=True):
        table = json.loads((folder / "detection" / f"{split}.json").read_text(encoding="utf-8"))
        found = Counter(box["category_id"] for box in table["annotations"])
        heights = [found[place] for place in range(len(names))]
        axis.bar(names, heights, bottom=bottom, color=colour, label=split)
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    for place, total in enumerate(bottom):
        axis.text(place, total, str(total), ha="center", va="bottom", fontsize=7)
    axis.set_ylabel("boxes")
    axis.set_title("Boxes per category and split", fontsize=11, loc="left")
    axis.tick_params(axis="x", labelrotation=30, labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(target, dpi=130)
