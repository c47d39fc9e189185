"""COCO files of raw and prepared photos: tables of images, boxes and categories in one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aura.artifact import write_json
from aura.errors import DataError
from aura.taxonomy import CATEGORIES, category_id

_IMPORT_AGAIN = "import the source again: aura data import"


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
        if all(isinstance(tables[name], list) for name in ("images", "annotations")):
            return tables
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(f"cannot read {path}: {error!r}", hint=_IMPORT_AGAIN) from error
    raise DataError(f"{path} lacks its tables", hint=_IMPORT_AGAIN)
