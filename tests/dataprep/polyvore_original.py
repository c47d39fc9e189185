"""A small folder laid out as Polyvore Outfits, with its spelling and its formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from PIL import Image

SIZES = {"train": 8, "valid": 3, "test": 3}
"""Outfits per split; each has a top, bottoms and shoes of its own."""
_KINDS = {"tops": "11", "bottoms": "28", "shoes": "41"}
_COLOURS = {"tops": (184, 31, 47), "bottoms": (42, 86, 168), "shoes": (11, 11, 11)}


def item_id(split: str, outfit: int, number: int) -> str:
    return f"{['train', 'valid', 'test'].index(split) + 1}{outfit:03d}{number}"


def set_id(split: str, outfit: int) -> str:
    return f"{['train', 'valid', 'test'].index(split) + 1}9{outfit:04d}"


def write_polyvore(folder: Path, divisions: tuple[str, ...] = ("nondisjoint", "disjoint")) -> Path:
    """The folder `polyvore_outfits` as it is published; both divisions hold the same outfits here, `disjoint` fewer."""
    (folder / "images").mkdir(parents=True)
    metadata: dict[str, Any] = {}
    for division in divisions:
        (folder / division).mkdir()
        for split, size in SIZES.items():
            outfits = range(size if division == "nondisjoint" else size - 1)
            _write_split(folder, division, split, outfits, metadata)
    (folder / "polyvore_item_metadata.json").write_text(json.dumps(metadata))
    titles = {
        set_id(split, n): {"url_name": "a look", "title": "A look"}
        for split, size in SIZES.items()
        for n in range(size)
    }
    (folder / "polyvore_outfit_titles.json").write_text(json.dumps(titles))
    (folder / "categories.csv").write_text("11,shirt,tops\n28,pants,bottoms\n41,closed shoes,shoes\n")
    return folder


def _write_split(folder: Path, division: str, split: str, outfits: range, metadata: dict[str, Any]) -> None:
    sets, blanks, lines = [], [], []
    for outfit in outfits:
        items = []
        for number, (category, category_id) in enumerate(_KINDS.items(), start=1):
            name = item_id(split, outfit, number)
            items.append({"item_id": name, "index": number})
            metadata[name] = {
                "url_name": f"{category} number {name}", "description": f"Fine {category}.\nMachine wash.",
                "catgeories": ["Women's Fashion", "Clothing"], "title": f"{category} {name}" if number > 1 else "",
                "related": ["Red tops"], "category_id": category_id, "semantic_category": category,
            }  # fmt: skip
            file = folder / "images" / f"{name}.jpg"
            if not file.exists():
                Image.new("RGB", (60, 80), _COLOURS[category]).save(file)
        sets.append({"items": items, "set_id": set_id(split, outfit)})
        here, there = set_id(split, outfit), set_id(split, (outfit + 1) % len(outfits))
        blanks.append(
            {"question": [f"{here}_1", f"{here}_3"], "blank_position": 2, "answers": [f"{there}_2", f"{here}_2"]}
        )
        lines += [f"1 {here}_1 {here}_2 {here}_3", f"0 {here}_1 {there}_2 {there}_3"]
    (folder / division / f"{split}.json").write_text(json.dumps(sets))
    (folder / division / f"fill_in_blank_{split}.json").write_text(json.dumps(blanks))
    (folder / division / f"compatibility_{split}.txt").write_text("\n".join(lines) + "\n")
