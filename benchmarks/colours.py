"""How often the colour of a garment in a street photo is named right, where people have drawn the garment's outline.

    python -m benchmarks.colours [--photos 200]        # CCP must be imported: aura data import ccp PATH

What is right: the name that the import gave the pixels inside the outline. Compared with it are the names from the box in the
photo, as the services measure them, from the box cut out alone, and from the middle of the box as it is. Boxes are shaken, as a
detector's are. Writes docs/benchmarks/colours.md.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aura.artifact import read_json, write_text
from aura.paths import home, repo_root
from aura.prepared_rows import ItemRow, read_rows
from benchmarks.machine import machine
from dataprep.raw_rows import RawOutfitRow
from inference.colours import colour_in_words, difference, dominant_colours
from inference.garment_colours import measured_colours, measured_colours_in

Box = tuple[float, float, float, float]
_SHAKEN = 0.03
"""Standard deviation of each side of a box, as a share of the box."""
_FAR = 20.0
"""CIEDE2000 from which two names are no confusion of neighbours: navy and black are 15 apart, navy and grey 35."""
_SEED = 7
_PAGE = repo_root() / "docs" / "benchmarks" / "colours.md"


def middle(photo: Image.Image, box: Box) -> str:
    """Of the inner half of the box on each side."""
    pixels = np.asarray(photo.crop(tuple(map(int, box))).resize((64, 64), Image.Resampling.BOX))  # type: ignore[arg-type]
    return dominant_colours(pixels[16:48, 16:48].reshape(-1, 3))[0].name


METHODS: dict[str, Callable[[Image.Image, Box], str]] = {
    "in the photo": lambda photo, box: measured_colours_in(photo, box)[0].name,
    "cut out": lambda photo, box: measured_colours(photo.crop(tuple(map(int, box))))[0].name,  # type: ignore[arg-type]
    "middle of the box": middle,
}


def garments(raw: Path, count: int) -> Iterator[tuple[Image.Image, Box, str, str]]:
    """Photo, shaken box, category and colour of the garments that are the only one of their category in a photo."""
    table: dict[str, Any] = read_json(raw / "detection" / "annotations.json", "the photos")
    items = {row.item_id: row for row in read_rows(raw / "outfits" / "items.jsonl", ItemRow)}
    worn = {
        row.group: [items[item] for item in row.items]
        for row in read_rows(raw / "outfits" / "outfits.jsonl", RawOutfitRow)
    }
    boxes: defaultdict[int, list[tuple[str, list[float]]]] = defaultdict(list)
    names = {category["id"]: category["name"] for category in table["categories"]}
    for annotation in table["annotations"]:
        boxes[annotation["image_id"]].append((names[annotation["category_id"]], annotation["bbox"]))
    rng, noise = random.Random(_SEED), np.random.default_rng(_SEED)
    for image in rng.sample(table["images"], min(count, len(table["images"]))):
        photo = Image.open(raw / "detection" / "images" / image["file_name"]).convert("RGB")
        for category, (x, y, width, height) in boxes[image["id"]]:
            colours = [item.attributes["colour"] for item in worn.get(image["group"], []) if item.category == category]
            if len(colours) != 1 or [name for name, _ in boxes[image["id"]]].count(category) != 1:
                continue
            shift = noise.normal(0, _SHAKEN, 4) * (width, height, width, height)
            shaken = np.clip(np.array([x, y, x + width, y + height]) + shift, 0, [*photo.size, *photo.size])
            if min(shaken[2:] - shaken[:2]) >= 2:
                yield photo, (shaken[0], shaken[1], shaken[2], shaken[3]), category, colours[0]


def apart(one: str, other: str) -> float:
    """CIEDE2000 of two names' mean shades."""
    first, second = colour_in_words(one), colour_in_words(other)
    if first is None or second is None:
        raise ValueError(f"{one!r} or {other!r} names no colour")
    return float(difference(np.array(first.lab), np.array(second.lab)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--photos", type=int, default=200)
    options = parser.parse_args()
    distances: defaultdict[str, dict[str, list[float]]] = defaultdict(lambda: {name: [] for name in METHODS})
    for photo, box, category, colour in garments(home() / "raw" / "ccp", options.photos):
        for name, named in METHODS.items():
            distances[category][name].append(apart(named(photo, box), colour))
    rows = [("all", {name: [one for found in distances.values() for one in found[name]] for name in METHODS})]
    rows += sorted(distances.items(), key=lambda row: -len(row[1]["cut out"]))
    lines = [
        "# Colours of garments in street photos", "",
        f"Written by `python -m benchmarks.colours --photos {options.photos}` on {machine()}, on Clothing Co-Parsing. Of the "
        "garments that are the only one of their category in a photo: the share whose colour is named as the pixels inside the "
        f"outline are that people drew, and the share that is far off (CIEDE2000 over {_FAR:.0f}). Boxes are shaken by "
        f"{_SHAKEN:.0%} of their sides. *In the photo* is what `analyze` and a wardrobe made from a photo say; *cut out* is what "
        "is said of a picture alone, whose plain edge, if it has one, is taken for the ground.", "",
        f"| category | garments | {' | '.join(METHODS)} |", f"| --- | --- |{' --- |' * len(METHODS)}",
    ]  # fmt: skip
    for label, found in rows:
        cells = [
            f"{np.mean(np.array(found[name]) == 0):.2f}, {np.mean(np.array(found[name]) > _FAR):.2f}"
            for name in METHODS
        ]
        lines.append(f"| {label} | {len(found['cut out'])} | {' | '.join(cells)} |")
    write_text(_PAGE, "\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
