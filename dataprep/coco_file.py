"""Annotation files in COCO format (cocodataset.org/#format-data) as they come: rows checked one by one, ids of any kind."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aura.errors import DataError
from dataprep.raw_source import ImportReport

_AGAIN = "give the annotation file of an object detection or segmentation set in COCO format"
_TABLES = ("images", "annotations", "categories")

Id = int | str


class _Row(BaseModel):
    """Base of a row; tools add fields of their own."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class CocoImage(_Row):
    """A photo; `width` and `height` are those that it was annotated at."""

    id: Id
    file_name: str = Field(min_length=1)
    width: int | None = Field(default=None, gt=0)
    height: int | None = Field(default=None, gt=0)

    @property
    def size_px(self) -> tuple[int, int] | None:
        return (self.width, self.height) if self.width and self.height else None

    @property
    def path(self) -> PurePosixPath:
        """Place below the folder of images; some tools write it with backslashes."""
        return PurePosixPath(self.file_name.replace("\\", "/"))


class CocoCategory(_Row):
    id: Id
    name: str = Field(min_length=1)


class CocoAttribute(_Row):
    """What a garment may be like, as Fashionpedia has it: `maxi (length)` of the kind `length`."""

    id: Id
    name: str
    supercategory: str = ""


class CocoObject(_Row):
    """One object of a photo. `pair_id` is DeepFashion2's number of one garment in the photos of a shop and its buyers."""

    image_id: Id
    category_id: Id
    bbox: tuple[float, float, float, float] | None = None
    segmentation: list[list[float]] | dict[str, Any] | None = None
    area: float | None = None
    iscrowd: int = 0
    attribute_ids: tuple[Id, ...] = ()
    pair_id: Id | None = None


@dataclass(frozen=True, kw_only=True)
class CocoFile:
    """What an annotation file holds.

    Attributes:
        objects: of each photo, by the photo's id.
        categories: names by id.
        attributes: by id.
    """

    path: Path
    images: tuple[CocoImage, ...]
    objects: Mapping[Id, Sequence[CocoObject]]
    categories: Mapping[Id, str]
    attributes: Mapping[Id, CocoAttribute] = field(default_factory=dict)


def read_coco_file(path: Path, report: ImportReport, max_bad_fraction: float) -> CocoFile:
    """Read an annotation file; rows that cannot be used are recorded in `report`.

    Raises:
        DataError: no JSON, or not in COCO format; or too many annotations are damaged.
    """
    tables = _tables(path)
    categories: dict[Id, str] = {}
    for row in _checked(tables["categories"], CocoCategory, "category is damaged", report):
        if categories.setdefault(row.id, row.name) != row.name:
            raise DataError(
                f"{path.name} has two categories of the id {row.id!r}: {categories[row.id]!r}, {row.name!r}",
                hint=_AGAIN,
            )
    images: dict[Id, CocoImage] = {}
    for image in _checked(tables["images"], CocoImage, "image row is damaged", report, unusable=True):
        if image.id in images:
            report.skip("image row repeats an id", image.file_name, whole_file=True)
        else:
            images[image.id] = image
    objects = _objects(tables["annotations"], images, categories, report, max_bad_fraction, path)
    attributes = _checked(tables.get("attributes") or [], CocoAttribute, "attribute is damaged", report)
    return CocoFile(
        path=path, images=tuple(images.values()), objects=objects, categories=categories,
        attributes={row.id: row for row in attributes},
    )  # fmt: skip


def _tables(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            tables = json.loads(stream.read().decode("utf-8-sig"))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint=_AGAIN) from error
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"{path} is not JSON in UTF-8 ({error}), or only a part of it", hint=f"download it again; {_AGAIN}"
        ) from error
    if isinstance(tables, dict):
        missing = [name for name in _TABLES if not isinstance(tables.get(name), list)]
        if not missing:
            return tables
        raise DataError(
            f"{path} lacks the lists {', '.join(missing)}; it has: {', '.join(map(str, list(tables)[:10])) or 'nothing'}",
            hint=_AGAIN,
        )
    raise DataError(
        f"{path} holds a {type(tables).__name__} instead of an object with {', '.join(_TABLES)}", hint=_AGAIN
    )


def _checked(
    rows: Sequence[Any], schema: type[Any], problem: str, report: ImportReport, *, unusable: bool = False
) -> list[Any]:
    """Rows that fit their schema; the others are recorded."""
    found = []
    for number, row in enumerate(rows, start=1):
        try:
            found.append(schema.model_validate(row))
        except ValidationError:
            report.skip(problem, f"row {number}", whole_file=unusable)
    return found


def _objects(
    rows: Sequence[Any],
    images: Mapping[Id, CocoImage],
    categories: Mapping[Id, str],
    report: ImportReport,
    max_bad_fraction: float,
    path: Path,
) -> dict[Id, list[CocoObject]]:
    """Objects by photo; a row that is there twice counts once."""
    damaged_before = report.skipped["annotation is damaged"]
    objects: dict[Id, list[CocoObject]] = defaultdict(list)
    for found in _checked(rows, CocoObject, "annotation is damaged", report):
        if found.image_id not in images:
            report.skip("annotation of an unknown image", str(found.image_id), whole_file=False)
        elif found.category_id not in categories:
            report.skip("annotation of an unknown category", str(found.category_id), whole_file=False)
        elif found in objects[found.image_id]:
            report.skip("annotation is there twice", images[found.image_id].file_name, whole_file=False)
        else:
            objects[found.image_id].append(found)
    damaged = report.skipped["annotation is damaged"] - damaged_before
    if damaged > max_bad_fraction * len(rows):
        raise DataError(
            f"{damaged} of {len(rows)} annotations of {path} are damaged, more than {max_bad_fraction:.0%}",
            hint=f"{_AGAIN}; data.imports.max_bad_fraction is the limit",
        )
    return {image: found for image, found in objects.items() if found}


def details_of(found: CocoObject, attributes: Mapping[Id, CocoAttribute]) -> dict[str, str]:
    """What a source says of a garment beside its category: attribute names by their kind, what they are of left out."""
    details: dict[str, list[str]] = defaultdict(list)
    for attribute in (attributes[key] for key in found.attribute_ids if key in attributes):
        name = re.sub(r"\s*\(.*\)$", "", attribute.name).strip()
        if name:
            details[attribute.supercategory or "detail"].append(name)
    return {kind: ", ".join(dict.fromkeys(names)) for kind, names in details.items()}
