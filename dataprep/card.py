"""The data card: contents and sources of the prepared data, with pictures."""

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

from aura.artifact import write_text
from aura.output_folders import PREPARED_DATA
from aura.prepared_rows import QUESTION_KINDS, SPLITS, CatalogRow, ItemRow, OutfitRow, read_rows
from aura.taxonomy import CATEGORIES
from dataprep.images import open_rgb
from dataprep.raw_source import Manifest
from dataprep.settings import DataSettings, SourceName

_PALETTE = (
    "#4e79a7", "#f28e2b", "#e15759", "#76b7b2", "#59a14f", "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#5f5b57",
    "#1f9e89", "#8c564b",
)  # fmt: skip


def write_card(
    folder: Path,
    settings: DataSettings,
    manifests: Mapping[SourceName, Manifest],
    counts: dict[str, Any],
    hashes: dict[str, str],
) -> None:
    """Write `card.md` and `card/*.png` into prepared data that is otherwise complete."""
    plots = folder / "card"
    plots.mkdir()
    _scenes(folder / "detection", plots / "photos.png")
    _outfits(folder / "outfits", plots / "outfits.png")
    _histogram(folder, plots / "categories.png")
    _catalog(folder / "catalog", plots / "catalog.png")
    write_text(folder / "card.md", _text(settings, manifests, counts, hashes))


def _text(
    settings: DataSettings, manifests: Mapping[SourceName, Manifest], counts: dict[str, Any], hashes: dict[str, str]
) -> str:
    photos, dialogues = (
        " / ".join(f"{share:g}" for share in (shares.train, shares.val, shares.test))
        for shares in (settings.split, settings.dialogue_split)
    )
    lines = [
        PREPARED_DATA.first_line,
        "",
        "## Sources",
        "",
        "| source | licence | holds | left out |",
        "|---|---|---|---|",
    ]
    for source, manifest in manifests.items():
        holds = ", ".join(f"{number} {table}" for table, number in manifest.counts.items())
        skipped = ", ".join(f"{number} {reason}" for reason, number in manifest.skipped.items()) or "nothing"
        lines.append(f"| {source} | {manifest.licence} | {holds} | {skipped} |")
    lines += ["", "## Splits", "", "| | train | val | test |", "|---|---|---|---|"]
    for table in ("images", "boxes"):
        lines.append(f"| {table} | " + " | ".join(str(counts["detection"][split][table]) for split in SPLITS) + " |")
    for folder, rows in (("outfits", "outfits"), ("chat", "conversations")):
        lines.append(f"| {rows} | " + " | ".join(str(counts[folder][split]) for split in SPLITS) + " |")
    lines += [
        "",
        f"The split of a photo, outfit or conversation is decided by a hash of its id with seed {settings.split_seed} "
        f"(shares {photos}; of conversations {dialogues}), so it never changes when other rows come or go. Where a source names "
        "splits of its own, its rows stay in those.",
        "",
        f"Outfits are made of {counts['outfits']['items']} items. The catalog has {counts['catalog']['items']} items, "
        f"the knowledge base {counts['knowledge']['pages']} pages.",
        "",
        *_published(counts["outfits"]),
        *_questions(counts["knowledge"]["questions"]),
        "## Pictures",
        "",
        *(f"![{name}](card/{name}.png)\n" for name in ("photos", "outfits", "categories", "catalog")),
        "## Content",
        "",
        *(f"- {table}: `{digest}`" for table, digest in hashes.items()),
    ]
    return "\n".join(lines) + "\n"


def _published(counts: Mapping[str, int]) -> list[str]:
    """Questions about outfits that a source publishes: what others report their models on."""
    files = {name: number for name, number in counts.items() if name.startswith(("fitb_", "compatibility_"))}
    if not files:
        return []
    return [
        "## Published questions about outfits",
        "",
        "Kept as rows of `outfits/questions/` (`FitbRow` and `CompatibilityRow` of `aura/prepared_rows.py`), each in the split "
        "that its source puts it in:",
        "",
        *(f"- `{name}.jsonl`: {number}" for name, number in files.items()),
        "",
    ]


def _questions(by_kind: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The held-out questions that answers are judged by."""
    if not any(by_kind.values()):
        return ["## Held-out questions", "", "None, so nothing will be known of how good answers are.", ""]
    return [
        "## Held-out questions",
        "",
        "| | " + " | ".join(by_kind) + " |",
        "|---" * (len(by_kind) + 1) + "|",
        *(
            f"| {kind} | " + " | ".join(str(kinds.get(kind, 0)) for kinds in by_kind.values()) + " |"
            for kind in QUESTION_KINDS
        ),
        "",
    ]


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
    """Median of height / width."""
    return statistics.median(image["height"] / image["width"] for image in images)


def _scenes(folder: Path, target: Path) -> None:
    table = json.loads((folder / "train.json").read_text(encoding="utf-8"))
    figure, axes = _grid(3, 6, (1.7, 1.7 * _aspect(table["images"])), "Photos with their boxes (train)")
    for axis, image in zip(axes, _evenly(table["images"], len(axes)), strict=False):
        _show(axis, folder / "images" / image["file_name"])
        for box in (row for row in table["annotations"] if row["image_id"] == image["id"]):
            x, y, width, height = box["bbox"]
            colour = _PALETTE[box["category_id"]]
            axis.add_patch(Rectangle((x, y), width, height, fill=False, color=colour, linewidth=1.2))
            axis.text(
                x + 1, y + 1, CATEGORIES[box["category_id"]].value, fontsize=4.5, color="white", va="top",
                bbox={"facecolor": colour, "pad": 0.6, "linewidth": 0},
            )  # fmt: skip
    figure.savefig(target, dpi=130)


def _outfits(folder: Path, target: Path) -> None:
    items = {item.item_id: item for item in read_rows(folder / "items.jsonl", ItemRow)}
    outfits = read_rows(folder / "train.jsonl", OutfitRow)
    width = 7
    chosen = _evenly([outfit for outfit in outfits if len(outfit.items) <= width], 6)
    figure, axes = _grid(max(1, len(chosen)), width, (1.35, 1.65), "Outfits, one per row (train)")
    for row, outfit in enumerate(chosen):
        for column, item in enumerate(items[item_id] for item_id in outfit.items):
            axis = axes[row * width + column]
            _show(axis, folder / str(item.image))
            axis.set_title(_short(item.title), fontsize=5.5, pad=2)
    figure.savefig(target, dpi=130)


def _catalog(folder: Path, target: Path) -> None:
    items = read_rows(folder / "catalog.jsonl", CatalogRow)
    ordered = sorted(items, key=lambda item: CATEGORIES.index(item.category))
    figure, axes = _grid(5, 10, (1.1, 1.35), "Catalog")
    for axis, item in zip(axes, _evenly(ordered, len(axes)), strict=False):
        _show(axis, folder / item.image)
        axis.set_title(_short(item.title), fontsize=5, pad=2)
    figure.savefig(target, dpi=130)


def _show(axis: Axes, path: Path) -> None:
    axis.imshow(open_rgb(path, upright=True))


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
        heights = [found[category_id] for category_id in range(len(names))]
        axis.bar(names, heights, bottom=bottom, color=colour, label=split)
        bottom = [base + height for base, height in zip(bottom, heights, strict=True)]
    for column, total in enumerate(bottom):
        axis.text(column, total, str(total), ha="center", va="bottom", fontsize=7)
    axis.set_ylabel("boxes")
    axis.set_title("Boxes per category and split", fontsize=11, loc="left")
    axis.tick_params(axis="x", labelrotation=30, labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(target, dpi=130)
