"""COCO files of raw and prepared photos: tables of images, boxes and categories in one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aura.artifact import write_json
from aura.errors import DataError
from aura.prepared_rows import CategoryRow, check_rows, good_rows
from aura.problems import Problems
from aura.taxonomy import CATEGORIES, category_id

_IMPORT_AGAIN = "import the source again: aura data import"
_TABLES = ("images", "annotations", "categories")


def write_coco(path: Path, images: Sequence[dict[str, Any]], annotations: Sequence[dict[str, Any]]) -> None:
    """Write images and boxes beside all categories of the taxonomy."""
    categories = [{"id": category_id(category), "name": category.value} for category in CATEGORIES]
    write_json(path, {"images": images, "annotations": annotations, "categories": categories})


def read_coco(path: Path) -> dict[str, list[Any]]:
    """The tables of a COCO file, rows unchecked.

    Raises:
        DataError: the file is missing or lacks a table.
    """
    try:
        tables: dict[str, list[Any]] = json.loads(path.read_text(encoding="utf-8"))
        if all(isinstance(tables[name], list) for name in _TABLES):
            return tables
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"cannot read {path}: {error!r}", hint=_IMPORT_AGAIN) from error
    raise DataError(f"{path} lacks its tables: {', '.join(_TABLES)}", hint=_IMPORT_AGAIN)


def check_categories(values: Sequence[Any], where: str, problems: Problems) -> None:
    """Collect what differs from Aura's categories: an id that means another garment would train without an error."""
    for number, row in good_rows(check_rows(values, CategoryRow), f"{where}/categories", problems):
        if row.id != category_id(row.name):
            problems.add(
                f"{where}/categories, row {number}",
                f"{row.name} has the id {row.id}; it must be {category_id(row.name)}",
            )
