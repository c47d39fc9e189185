"""Small annotation files with their photos, as Fashionpedia, DeepFashion2, ModaNet and foreign tools write them.

Every photo shows plain rectangles on a light ground, so that each box, mask and colour is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

WIDTH_PX, HEIGHT_PX = 90, 120
RED, BLACK, BLUE, YELLOW, GREEN = (184, 31, 47), (11, 11, 11), (42, 86, 168), (231, 207, 78), (46, 110, 60)
_GROUND = (250, 250, 250)
_COLOURS = (RED, BLUE, YELLOW, GREEN)

Box = tuple[int, int, int, int]
Draw = Callable[[Box], Any]

FASHIONPEDIA = (
    "shirt, blouse", "top, t-shirt, sweatshirt", "sweater", "cardigan", "jacket", "vest", "pants", "shorts", "skirt", "coat",
    "dress", "jumpsuit", "cape", "glasses", "hat", "headband, head covering, hair accessory", "tie", "glove", "watch",
    "belt", "leg warmer", "tights, stockings", "sock", "shoe", "bag, wallet", "scarf", "umbrella", "hood", "collar",
    "lapel", "epaulette", "sleeve", "pocket", "neckline", "buckle", "zipper", "applique", "bead", "bow", "flower",
    "fringe", "ribbon", "rivet", "ruffle", "sequin", "tassel",
)  # fmt: skip
"""All 46 categories; ids 0 to 45."""
DEEPFASHION2 = (
    "short_sleeved_shirt", "long_sleeved_shirt", "short_sleeved_outwear", "long_sleeved_outwear", "vest", "sling",
    "shorts", "trousers", "skirt", "short_sleeved_dress", "long_sleeved_dress", "vest_dress", "sling_dress",
)  # fmt: skip
"""As `deepfashion2_to_coco.py` writes them; ids 1 to 13."""
MODANET = (
    "bag", "belt", "boots", "footwear", "outer", "dress", "sunglasses", "pants", "top", "shorts", "skirt", "headwear",
    "scarf & tie",
)  # fmt: skip
"""Ids 1 to 13."""
ATTRIBUTES = [
    {"id": 0, "name": "classic (t-shirt)", "supercategory": "nickname", "level": 2, "taxonomy_id": "att0"},
    {"id": 149, "name": "above-the-knee (length)", "supercategory": "length", "level": 2, "taxonomy_id": "att149"},
    {"id": 127, "name": "a-line", "supercategory": "silhouette", "level": 2, "taxonomy_id": "att127"},
    {"id": 295, "name": "plain (pattern)", "supercategory": "textile pattern", "level": 2, "taxonomy_id": "att295"},
]


@dataclass(frozen=True)
class Thing:
    """An object of a photo: left, top, width and height in pixels; without a colour the photo's own."""

    name: str
    box: Box
    colour: tuple[int, int, int] | None = None
    more: Mapping[str, Any] = ()  # type: ignore[assignment]


def polygon(box: Box) -> list[list[float]]:
    x, y, width, height = box
    return [[x, y, x + width, y, x + width, y + height, x, y + height]]


def runs(box: Box) -> dict[str, Any]:
    """Run lengths, down the columns, as Fashionpedia has a few."""
    flat = _filled(box).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    return {"size": [HEIGHT_PX, WIDTH_PX], "counts": np.diff([0, *edges, len(flat)]).tolist()}


def packed_runs(box: Box) -> dict[str, Any]:
    packed = coco_mask.encode(np.asfortranarray(_filled(box)))
    return {"size": [HEIGHT_PX, WIDTH_PX], "counts": packed["counts"].decode()}


def _filled(box: Box) -> Any:
    x, y, width, height = box
    mask = np.zeros((HEIGHT_PX, WIDTH_PX), dtype=np.uint8)
    mask[y : y + height, x : x + width] = 1
    return mask


def worn(dress: str, shoe: str, bag: str) -> tuple[Thing, ...]:
    """A dress, two shoes and a bag, by their names in a data set."""
    return (
        Thing(dress, (25, 20, 40, 60)),
        Thing(shoe, (25, 105, 12, 10), BLACK),
        Thing(shoe, (50, 105, 12, 10), BLACK),
        Thing(bag, (70, 50, 14, 20), BLUE),
    )


def write_photo(file: Path, things: Sequence[Thing], number: int = 0) -> None:
    pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), _GROUND, dtype=np.uint8)
    for thing in things:
        x, y, width, height = thing.box
        pixels[y : y + height, x : x + width] = thing.colour or _COLOURS[number % len(_COLOURS)]
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, quality=95, subsampling=0)


def write_coco_set(
    folder: Path,
    categories: Sequence[str],
    photos: Mapping[str, Sequence[Thing]],
    *,
    first_id: int = 1,
    id_step: int = 1,
    draw: Draw | None = polygon,
    boxes: bool = True,
    name: str = "instances.json",
    images: str = "images",
    more: Mapping[str, Any] | None = None,
) -> tuple[Path, Path]:
    """An annotation file and its folder of images, both below `folder`; returns the two.

    Args:
        photos: objects by file name.
        first_id, id_step: ids of the categories.
        draw: how an object is segmented; None: it is not.
        boxes: whether objects have a `bbox`; Fashionpedia's sample file has none.
        more: further tables.
    """
    ids = {category: first_id + id_step * number for number, category in enumerate(categories)}
    table: dict[str, Any] = {
        "info": {"description": "test"}, "licenses": [],
        "categories": [{"id": ids[category], "name": category, "supercategory": "x"} for category in categories],
        "images": [], "annotations": [],
    }  # fmt: skip
    for number, (file_name, things) in enumerate(photos.items()):
        write_photo(folder / images / file_name, things, number)
        # Ids of real files are not contiguous.
        image_id = 9813 + 7 * number
        table["images"].append({"id": image_id, "file_name": file_name, "width": WIDTH_PX, "height": HEIGHT_PX})
        for thing in things:
            x, y, width, height = thing.box
            table["annotations"].append(
                {
                    "id": len(table["annotations"]) + 1, "image_id": image_id, "category_id": ids[thing.name], "iscrowd": 0,
                    "area": float(width * height),
                }
                | ({"bbox": [float(x), float(y), float(width), float(height)]} if boxes else {})
                | ({"segmentation": draw(thing.box)} if draw else {})
                | dict(thing.more)
            )  # fmt: skip
    file = folder / name
    file.write_text(json.dumps(table | dict(more or {})), encoding="utf-8")
    return file, folder / images


def write_fashionpedia(folder: Path, photos: int = 30, **changes: Any) -> tuple[Path, Path]:
    """Garments with masks and attributes, and a sleeve, which is a part of one."""
    things = [
        (
            Thing("dress", (25, 20, 40, 60), None, {"attribute_ids": [149, 127, 295]}),
            Thing("sleeve", (25, 20, 10, 20), None, {"attribute_ids": []}),
            *worn("dress", "shoe", "bag, wallet")[1:],
        )
        for _ in range(photos)
    ]
    names = {f"{number:032x}.jpg": row for number, row in enumerate(things)}
    return write_coco_set(
        folder, FASHIONPEDIA, names, first_id=0, name="instances_attributes_val2020.json", more={"attributes": ATTRIBUTES},
        **changes,
    )  # fmt: skip


def write_deepfashion2(folder: Path, photos: int = 30, **changes: Any) -> tuple[Path, Path]:
    """A shirt and trousers or a skirt, with the pair that a photo is of."""
    names = {}
    for number in range(photos):
        pair = {"pair_id": number // 2, "style": 1, "num_keypoints": 0, "keypoints": [0] * 882}
        lower = ("trousers", "skirt")[number % 2]
        names[f"{number + 1:06d}.jpg"] = (
            Thing("short_sleeved_shirt", (25, 15, 40, 40), None, pair),
            Thing(lower, (30, 58, 30, 55), BLUE, pair),
        )
    return write_coco_set(folder, DEEPFASHION2, names, name="deepfashion2.json", images="image", **changes)


def write_modanet(folder: Path, photos: int = 30, **changes: Any) -> tuple[Path, Path]:
    names = {f"{number:07d}.jpg": worn("dress", "footwear", "bag") for number in range(photos)}
    return write_coco_set(folder, MODANET, names, name="modanet2018_instances.json", **changes)


FOREIGN = ("person", "tee shirt", "sarong", "Hose", "trainers", "handbag")


def write_foreign(folder: Path, photos: int = 30, **changes: Any) -> tuple[Path, Path]:
    """Categories of a person's own, of which some are in no table."""
    things = (
        Thing("person", (15, 5, 60, 112), _GROUND),
        Thing("tee shirt", (25, 15, 40, 40)),
        Thing("sarong", (25, 56, 40, 45), GREEN),
        Thing("handbag", (70, 50, 14, 20), BLUE),
    )
    names = {f"shop/{number}.jpg": things for number in range(photos)}
    return write_coco_set(folder, FOREIGN, names, first_id=3, id_step=5, **changes)
