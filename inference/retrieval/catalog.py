"""Catalog items as `prepare` writes them: `catalog.jsonl` and the pictures that it names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from aura.errors import DataError
from aura.pictures import turned_upright
from aura.taxonomy import CATEGORIES, Category

CATALOG_FILE = "catalog.jsonl"
_MAX_PROBLEMS_SHOWN = 20


@dataclass(frozen=True, kw_only=True)
class CatalogItem:
    """One item; `image` is relative to the catalog's folder."""

    item_id: str
    category: Category
    title: str
    description: str
    attributes: dict[str, str]
    image: str

    @property
    def search_text(self) -> str:
        """What the embedder and the full-text index read: `Title. category. attributes. description`."""
        attributes = ", ".join(f"{name} {value}" for name, value in sorted(self.attributes.items()))
        return ". ".join(part for part in (self.title, self.category.value, attributes, self.description) if part)


def read_catalog(folder: Path) -> list[CatalogItem]:
    """All items, ordered by id.

    Raises:
        DataError: the file is missing, or lines are broken (the first twenty are listed).
    """
    path = folder / CATALOG_FILE
    if not path.is_file():
        raise DataError(f"no catalog: {path} is missing", hint="run the stage prepare first")
    items: dict[str, CatalogItem] = {}
    problems: list[str] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            item = _parse(json.loads(line), folder)
            if item.item_id in items:
                raise DataError(f"item_id {item.item_id!r} appears twice")
            items[item.item_id] = item
        except json.JSONDecodeError as error:
            problems.append(f"  - line {number}: not JSON ({error})")
        except DataError as error:
            problems.append(f"  - line {number}: {error.message}")
    if problems:
        shown = "\n".join(problems[:_MAX_PROBLEMS_SHOWN])
        more = f"\n  ... and {len(problems) - _MAX_PROBLEMS_SHOWN} more" if len(problems) > _MAX_PROBLEMS_SHOWN else ""
        raise DataError(
            f"{len(problems)} broken lines in {CATALOG_FILE}:\n{shown}{more}",
            hint="run the stage prepare again; it checks the catalog that it writes",
        )
    return [items[item_id] for item_id in sorted(items)]


def open_picture(path: Path) -> Image.Image:
    """The picture, decoded and turned upright.

    Raises:
        DataError: it is missing or broken.
    """
    try:
        with Image.open(path) as image:
            return turned_upright(image).copy()
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError) as error:
        raise DataError(f"cannot read the picture {path.name}: {error}", hint="run the stage prepare again") from error


def _parse(values: Any, folder: Path) -> CatalogItem:
    if not isinstance(values, dict):
        raise DataError(f"must be an object, not {type(values).__name__}")
    problems = [
        f"{name} must be a text, not {values.get(name)!r}"
        for name in ("item_id", "category", "title", "description", "image")
        if not isinstance(values.get(name), str)
    ]
    attributes: Any = values.get("attributes")
    if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
        problems.append(f"attributes must map texts to texts, not {attributes!r}")
    if not problems and values["category"] not in CATEGORIES:
        problems.append(f"category must be one of {', '.join(CATEGORIES)}, not {values['category']!r}")
    if not problems and not values["item_id"]:
        problems.append("item_id is empty")
    if not problems and not (folder / values["image"]).is_file():
        problems.append(f"the picture {values['image']!r} does not exist")
    if problems:
        raise DataError("; ".join(problems))
    return CatalogItem(
        item_id=values["item_id"],
        category=Category(values["category"]),
        title=values["title"],
        description=values["description"],
        attributes=attributes,
        image=values["image"],
    )
