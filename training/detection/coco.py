"""The COCO files of the prepared data, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from aura.artifact import read_json
from aura.errors import DataError
from aura.pictures import upright_rgb


@dataclass(frozen=True, kw_only=True)
class Photo:
    """One photo of a split.

    Attributes:
        boxes_xyxy_px: (N, 4) float64 in px of the upright photo.
        labels: (N,) int64 class indices.
        photo_type: kind of photo, for metrics per kind.
    """

    photo_id: int
    path: Path
    width: int
    height: int
    boxes_xyxy_px: np.ndarray
    labels: np.ndarray
    photo_type: str = "photo"


def read_split(data_dir: Path, split: str) -> tuple[list[Photo], tuple[str, ...]]:
    """Photos of `DATA/detection/<split>.json` and the category names in class order.

    Raises:
        DataError: the file is missing or broken, holds no photo, or refers to an unknown category or photo.
    """
    path = data_dir / "detection" / f"{split}.json"
    if not path.is_file():
        raise DataError(f"no {path}", hint="run the prepare stage first: aura data prepare")
    content = read_json(path, f"the {split} split")
    try:
        categories = sorted(content["categories"], key=lambda category: category["id"])
        names = tuple(str(category["name"]) for category in categories)
        class_of = {category["id"]: index for index, category in enumerate(categories)}
        boxes: dict[int, list[list[float]]] = {image["id"]: [] for image in content["images"]}
        labels: dict[int, list[int]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            x, y, width, height = annotation["bbox"]
            boxes[annotation["image_id"]].append([x, y, x + width, y + height])
            labels[annotation["image_id"]].append(class_of[annotation["category_id"]])
        photos = [
            Photo(
                photo_id=image["id"],
                path=path.parent / "images" / image["file_name"],
                width=image["width"],
                height=image["height"],
                boxes_xyxy_px=np.array(boxes[image["id"]], dtype=np.float64).reshape(-1, 4),
                labels=np.array(labels[image["id"]], dtype=np.int64),
                photo_type=image.get("photo_type", "photo"),
            )
            for image in content["images"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not in COCO's form: {error!r}", hint="prepare the data again") from error
    if not photos:
        raise DataError(f"{path} holds no photo", hint="import more data, or change the split fractions")
    return photos, names


def read_photo(photo: Photo) -> Image.Image:
    """Upright RGB photo.

    Raises:
        DataError: the file is missing or broken, or its size is not the one annotated.
    """
    try:
        with Image.open(photo.path) as image:
            upright = upright_rgb(image)
    except OSError as error:
        raise DataError(f"cannot read {photo.path}: {error}", hint="prepare the data again") from error
    if upright.size != (photo.width, photo.height):
        raise DataError(
            f"{photo.path} is {upright.size[0]} x {upright.size[1]} px, its annotation says {photo.width} x {photo.height}",
            hint="prepare the data again",
        )
    return upright
