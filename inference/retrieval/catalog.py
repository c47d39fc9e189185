"""The catalog as `prepare` writes it: `catalog.jsonl` and the images that it names."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from PIL import Image

from aura.errors import DataError
from aura.pictures import PictureError, read_picture
from aura.prepared_rows import CatalogRow, good_rows, scan_rows
from aura.problems import Problems

CATALOG_FILE = "catalog.jsonl"
_PREPARE_AGAIN = "run the stage prepare again; it checks the catalog that it writes"


def read_catalog(folder: Path) -> list[CatalogRow]:
    """All items, ordered by id.

    Raises:
        DataError: the file is missing, or rows are broken, repeat an id or name an image that is not there.
    """
    items: dict[str, CatalogRow] = {}
    problems = Problems()
    rows = scan_rows(folder / CATALOG_FILE, CatalogRow, "run the stage prepare first")
    for number, row in good_rows(rows, "", problems):
        if row.item_id in items:
            problems.add(f"row {number}", f"item_id {row.item_id!r} appears twice")
        elif not (folder / row.image).is_file():
            problems.add(f"row {number}", f"the picture {row.image!r} does not exist")
        else:
            items[row.item_id] = row
    problems.raise_if_any(str(folder / CATALOG_FILE), _PREPARE_AGAIN)
    return [items[item_id] for item_id in sorted(items)]


def open_picture(path: Path) -> Image.Image:
    """The picture, decoded, upright, RGB.

    Raises:
        DataError: it is missing or broken.
    """
    return decode_picture(path, path.name)


def decode_picture(file: Path | BinaryIO, name: str) -> Image.Image:
    """The picture in a file, decoded, upright, RGB; `name` is for the error.

    Raises:
        DataError: it is missing or broken.
    """
    try:
        return read_picture(file, name).image
    except PictureError as error:
        raise DataError(f"cannot read the picture {error.message}", hint="run the stage prepare again") from error
