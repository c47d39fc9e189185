"""The COCO files of the prepared data, read and checked."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Features, List, Value
from PIL import Image

from aura.artifact import read_json
from aura.errors import DataError
from aura.pictures import PictureError, read_picture
from aura.prepared_rows import PREPARE_AGAIN, BoxRow, CategoryRow, ImageRow, check_rows, good_rows
from aura.problems import Problems
from training.row_table import RowCodec, RowTable

_MORE_DATA = "import more data, or change the split fractions"
_TABLES = ("images", "annotations", "categories")
_FEATURES = Features(
    {
        "photo_id": Value("int64"),
        "file_name": Value("string"),
        "width": Value("int32"),
        "height": Value("int32"),
        "boxes_xyxy_px": List(Value("float64")),
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
        DataError: the file is missing or broken, holds no photo or no box, or refers to an unknown category or photo; or it
            has categories that are not Aura's, which no artifact could hold.
    """
    path = data_dir / "detection" / f"{split}.json"
    if not path.is_file():
        raise DataError(f"no {path}", hint=PREPARE_AGAIN)
    tables = read_json(path, f"the {split} split")
    missing = [name for name in _TABLES if not isinstance(tables, dict) or not isinstance(tables.get(name), list)]
    if missing:
        raise DataError(f"{path} is not in COCO's form: no {', '.join(missing)}", hint=PREPARE_AGAIN)
    categories = _categories(path, tables["categories"])
    class_of = {category.id: index for index, category in enumerate(categories)}
    folder = path.parent / "images"
    photos = RowTable.write(_photos(path, tables, class_of, folder), _codec(folder))
    if not photos:
        raise DataError(f"{path} holds no photo", hint=_MORE_DATA)
    if not any(len(photo.labels) for photo in photos):
        raise DataError(f"{path} holds no box: nothing could be learnt or judged", hint=_MORE_DATA)
    return photos, tuple(category.name.value for category in categories)


def _categories(path: Path, values: list[Any]) -> list[CategoryRow]:
    """The categories in class order."""
    problems = Problems()
    rows = [row for _, row in good_rows(check_rows(values, CategoryRow), "categories", problems)]
    problems.unique((row.id for row in rows), "categories, ids")
    problems.unique((row.name.value for row in rows), "categories, names")
    problems.raise_if_any(str(path), hint=PREPARE_AGAIN)
    return sorted(rows, key=lambda row: row.id)


def _photos(path: Path, tables: dict[str, list[Any]], class_of: Mapping[int, int], folder: Path) -> Iterator[Photo]:
    """The photos with their boxes; `tables` loses its rows, so that the memory is free again when the photos are written.

    Raises:
        DataError: after the last photo, rows are broken or refer to an unknown category or photo.
    """
    problems = Problems()
    # Five numbers per box, as a million boxes are no million objects this way: x, y, width, height, class.
    boxes_of: dict[int, array[float]] = defaultdict(lambda: array("d"))
    for number, box in good_rows(check_rows(tables.pop("annotations"), BoxRow), "annotations", problems):
        if box.category_id in class_of:
            boxes_of[box.image_id].extend((*box.bbox, class_of[box.category_id]))
        else:
            problems.add(f"annotations, row {number}", f"no category {box.category_id}")
    for _, image in good_rows(check_rows(tables.pop("images"), ImageRow), "images", problems):
        boxes = np.array(boxes_of.pop(image.id, ()), dtype=np.float64).reshape(-1, 5)
        yield Photo(
            photo_id=image.id, path=folder / image.file_name, width=image.width, height=image.height,
            boxes_xyxy_px=np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], axis=1),
            labels=boxes[:, 4].astype(np.int64), photo_type=image.photo_type,
        )  # fmt: skip
    for image_id in boxes_of:
        problems.add("annotations", f"no image {image_id}")
    problems.raise_if_any(str(path), hint=PREPARE_AGAIN)


def _codec(folder: Path) -> RowCodec[Photo]:
    return RowCodec(_FEATURES, _encode, partial(_decode, folder))


def _encode(photo: Photo) -> dict[str, Any]:
    return {
        "photo_id": photo.photo_id, "file_name": photo.path.name, "width": photo.width, "height": photo.height,
        "boxes_xyxy_px": photo.boxes_xyxy_px.ravel().tolist(), "labels": photo.labels.tolist(),
        "photo_type": photo.photo_type,
    }  # fmt: skip


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
        upright = read_picture(photo.path, str(photo.path)).image
    except PictureError as error:
        raise DataError(error.message, hint=PREPARE_AGAIN) from error
    if upright.size != (photo.width, photo.height):
        raise DataError(
            f"{photo.path} is {upright.size[0]} x {upright.size[1]} px, its annotation says {photo.width} x {photo.height}",
            hint=PREPARE_AGAIN,
        )
    return upright
