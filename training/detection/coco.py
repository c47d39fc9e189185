"""The COCO files of the prepared data, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Features, List, Value
from PIL import Image

from aura.artifact import read_json
from aura.errors import DataError
from aura.pictures import upright_rgb
from aura.prepared_rows import PREPARE_AGAIN, BoxRow, ImageRow, check_rows, good_rows
from aura.problems import Problems
from training.row_table import RowCodec, RowTable

_TABLES = ("images", "annotations", "categories")
_FEATURES = Features(
    {
        "photo_id": Value("int64"),
        "file_name": Value("string"),
        "width": Value("int32"),
        "height": Value("int32"),
        "boxes_xyxy_px": List(List(Value("float64"))),
        "labels": List(Value("int64")),
        "photo_type": Value("string"),
    }
)


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


def read_split(data_dir: Path, split: str) -> tuple[RowTable[Photo], tuple[str, ...]]:
    """Photos of `DATA/detection/<split>.json` and the category names in class order.

    The photos lie in a mapped table: the JSON text and its Python objects are let go when this returns.

    Raises:
        DataError: the file is missing or broken, holds no photo, or refers to an unknown category or photo.
    """
    path = data_dir / "detection" / f"{split}.json"
    if not path.is_file():
        raise DataError(f"no {path}", hint=PREPARE_AGAIN)
    tables = read_json(path, f"the {split} split")
    missing = [name for name in _TABLES if not isinstance(tables, dict) or not isinstance(tables.get(name), list)]
    if missing:
        raise DataError(f"{path} is not in COCO's form: no {', '.join(missing)}", hint=PREPARE_AGAIN)
    categories = sorted(tables["categories"], key=lambda category: category["id"])
    class_of = {category["id"]: index for index, category in enumerate(categories)}
    problems = Problems()
    images = [row for _, row in good_rows(check_rows(tables["images"], ImageRow), "images", problems)]
    boxes: dict[int, list[BoxRow]] = {image.id: [] for image in images}
    for number, box in good_rows(check_rows(tables["annotations"], BoxRow), "annotations", problems):
        if box.image_id not in boxes or box.category_id not in class_of:
            problems.add(f"annotations, row {number}", f"no image {box.image_id}, or no category {box.category_id}")
        else:
            boxes[box.image_id].append(box)
    problems.raise_if_any(str(path), hint=PREPARE_AGAIN)
    if not images:
        raise DataError(f"{path} holds no photo", hint="import more data, or change the split fractions")
    photos = (_photo(image, boxes[image.id], class_of, path.parent / "images") for image in images)
    codec = RowCodec(_FEATURES, _encode, partial(_decode, path.parent / "images"))
    return RowTable.write(photos, codec), tuple(str(category["name"]) for category in categories)


def _photo(image: ImageRow, boxes: Sequence[BoxRow], class_of: Mapping[int, int], folder: Path) -> Photo:
    xywh_px = np.array([box.bbox for box in boxes], dtype=np.float64).reshape(-1, 4)
    return Photo(
        photo_id=image.id, path=folder / image.file_name, width=image.width, height=image.height,
        boxes_xyxy_px=np.concatenate([xywh_px[:, :2], xywh_px[:, :2] + xywh_px[:, 2:]], axis=1),
        labels=np.array([class_of[box.category_id] for box in boxes], dtype=np.int64), photo_type=image.photo_type,
    )  # fmt: skip


def _encode(photo: Photo) -> dict[str, Any]:
    values = {name: getattr(photo, name) for name in _FEATURES if name != "file_name"}
    return values | {"file_name": photo.path.name}


def _decode(folder: Path, values: dict[str, Any]) -> Photo:
    return Photo(
        photo_id=values["photo_id"], path=folder / values["file_name"], width=values["width"], height=values["height"],
        boxes_xyxy_px=np.array(values["boxes_xyxy_px"], dtype=np.float64).reshape(-1, 4),
        labels=np.array(values["labels"], dtype=np.int64), photo_type=values["photo_type"],
    )  # fmt: skip


def read_photo(photo: Photo) -> Image.Image:
    """Upright RGB photo.

    Raises:
        DataError: the file is missing or broken, or its size is not the one annotated.
    """
    try:
        with Image.open(photo.path) as image:
            upright = upright_rgb(image)
    except OSError as error:
        raise DataError(f"cannot read {photo.path}: {error}", hint=PREPARE_AGAIN) from error
    if upright.size != (photo.width, photo.height):
        raise DataError(
            f"{photo.path} is {upright.size[0]} x {upright.size[1]} px, its annotation says {photo.width} x {photo.height}",
            hint=PREPARE_AGAIN,
        )
    return upright
