"""Rows of the tables that `prepare` writes and every later stage reads, and the reader and writer of JSON Lines.

    detection/<split>.json     COCO: `images` of `ImageRow`, `annotations` of `BoxRow`, `categories` of `CategoryRow`
    outfits/items.jsonl        `ItemRow`
    outfits/<split>.jsonl      `OutfitRow`
    chat/<split>.jsonl         `DialogueRow`
    catalog/catalog.jsonl      `CatalogRow`
    knowledge/queries.jsonl    `QueryRow`

Raw sources have the same rows. A JSON Lines file is read as bytes, line by line: a line feed alone ends a row, so a text
may hold U+2028, U+2029, U+0085 and whatever else Unicode calls a line break. Blank lines are skipped and counted. The mark
that Windows puts at the beginning of a text in UTF-8 is no part of it.
"""

from __future__ import annotations

import json
import os
from codecs import BOM_UTF8
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from aura.errors import DataError
from aura.problems import Problems
from aura.taxonomy import Category

PREPARE_AGAIN = "run the prepare stage: aura data prepare"
_SHOWN_CHARS = 80

Text = Annotated[str, StringConstraints(min_length=1)]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)


class Row(BaseModel):
    """Base of every row: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


RowType = TypeVar("RowType", bound=Row)


class ImageRow(Row):
    """One photo of the detection set; photos of one `group` stay in one split."""

    id: int
    file_name: Text
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    group: Text
    photo_type: Text = "photo"
    """Kind of photo (street, figure, product...): the detector is judged per kind as well."""


class BoxRow(Row):
    """One box of a photo; `bbox` is COCO's x, y, width, height in pixels, `area` is in square pixels."""

    id: int
    image_id: int
    category_id: int = Field(ge=0, lt=len(Category))
    bbox: tuple[float, float, float, float]
    area: float = Field(gt=0)
    iscrowd: Literal[0] = 0
    """A region of several garments is refused: as a box it would teach the detector that they are one."""


class CategoryRow(Row):
    """One category of a COCO file; its name is one of Aura's, which an importer finds with `aura.taxonomy.category_of`."""

    id: int = Field(ge=0)
    name: Category
    supercategory: str = ""


class ItemRow(Row):
    """One garment. A garment that a detector found has no title and no attributes, and it may lack an image."""

    item_id: Text
    category: Category
    title: Annotated[str, BeforeValidator(lambda value: "" if value is None else value)] = ""
    attributes: Annotated[dict[str, str], BeforeValidator(lambda value: {} if value is None else value)] = {}
    image: str | None = None
    """Path of the image, relative to the folder of the table."""


class CatalogRow(ItemRow):
    """One item of the catalog: a garment that can be recommended. `prepare` requires a title and a description."""

    title: str
    attributes: dict[str, str]
    description: str
    image: Text

    @property
    def search_text(self) -> str:
        """What the embedder and the full-text index read: `Title. category. attributes. description`."""
        attributes = ", ".join(f"{name} {value}" for name, value in sorted(self.attributes.items()))
        return ". ".join(part for part in (self.title, self.category.value, attributes, self.description) if part)


class OutfitRow(Row):
    """Ids of items worn together; outfits of one `group` stay in one split."""

    outfit_id: Text
    group: Text
    items: tuple[str, ...]


class MessageRow(Row):
    """One message of a conversation."""

    role: Literal["user", "assistant"]
    content: Text


class DialogueRow(Row):
    """A conversation, and the slugs of the knowledge pages that its answers are taken from."""

    id: Text
    documents: tuple[str, ...] = Field(min_length=1)
    messages: tuple[MessageRow, ...] = Field(min_length=2)
    group: str = ""
    """Conversations of one group stay in one split. `prepare` fills it in: it is the id."""


class QueryRow(Row):
    """A question as a user types it, and the slugs of the knowledge pages that answer it."""

    query: Annotated[str, StringConstraints(pattern=r"\S")]
    relevant: tuple[str, ...] = Field(min_length=1)
    sections: tuple[str, ...] = ()
    """Headings in these pages under which an answer stands; empty where nobody has looked them up."""


@dataclass(frozen=True)
class BrokenRow:
    """Why a row cannot be used, with the fields named."""

    problem: str


def read_rows(path: Path, schema: type[RowType], hint: str = PREPARE_AGAIN) -> list[RowType]:
    """All rows of a JSON Lines file; see `iter_rows`."""
    return list(iter_rows(path, schema, hint))


def iter_rows(path: Path, schema: type[RowType], hint: str = PREPARE_AGAIN) -> Iterator[RowType]:
    """The rows of a JSON Lines file, one at a time.

    Raises:
        DataError: the file is missing; or, after the last row, some rows are broken: each is listed with its number and
            its fields.
    """
    problems = Problems()
    for _, row in good_rows(scan_rows(path, schema, hint), "", problems):
        yield row
    problems.raise_if_any(str(path), hint)


def good_rows(
    rows: Iterable[tuple[int, RowType | BrokenRow]], where: str, problems: Problems
) -> Iterator[tuple[int, RowType]]:
    """The numbered rows that fit their schema; the others become problems of `where`, for example a file."""
    for number, row in rows:
        if isinstance(row, BrokenRow):
            problems.add(f"{where}, row {number}" if where else f"row {number}", row.problem)
        else:
            yield number, row


def scan_rows(
    path: Path, schema: type[RowType], hint: str = PREPARE_AGAIN
) -> Iterator[tuple[int, RowType | BrokenRow]]:
    """Numbered rows of a JSON Lines file, broken ones among them; the first line is row 1.

    Raises:
        DataError: the file is missing or cannot be opened.
    """
    try:
        stream = path.open("rb")
    except FileNotFoundError as error:
        raise DataError(f"{path.name} is missing: no {path}", hint=hint) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}", hint=hint) from error
    with stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                yield number, _checked(schema.model_validate_json, line.removeprefix(BOM_UTF8) if number == 1 else line)


def check_rows(values: Iterable[Any], schema: type[RowType]) -> Iterator[tuple[int, RowType | BrokenRow]]:
    """Numbered rows from values that were read already, as those of a COCO file; the first is row 1."""
    for number, value in enumerate(values, start=1):
        yield number, _checked(schema.model_validate, value)


def write_rows(path: Path, rows: Iterable[Row]) -> int:
    """Write a JSON Lines file, one object per line with sorted keys, and return the number of rows.

    Rows are written as they come, so an iterator of any length takes the memory of one row. The file appears in one
    rename: readers see the old rows or the new ones, never a part.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        with temporary.open("wb") as stream:
            for row in rows:
                text = json.dumps(row.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
                stream.write(text.encode() + b"\n")
                count += 1
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return count


def _checked(validate: Callable[[Any], RowType], value: Any) -> RowType | BrokenRow:
    try:
        return validate(value)
    except ValidationError as error:
        return BrokenRow(
            _not_utf8(value) or "; ".join(_explained(problem) for problem in error.errors(include_url=False))
        )


def _not_utf8(value: Any) -> str:
    """What is wrong with the bytes of a line, if it is their encoding."""
    if isinstance(value, bytes):
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return f"not JSON in UTF-8 (byte {value[error.start]:#04x} at position {error.start + 1}); convert the file"
    return ""


def _explained(problem: Any) -> str:
    """One problem of a row: the field, what is allowed, what was there."""
    if problem["type"] == "json_invalid":
        return f"not JSON ({problem['msg'].removeprefix('Invalid JSON: ')})"
    if problem["type"] == "model_type":
        return "not a JSON object"
    received = repr(problem["input"])
    if len(received) > _SHOWN_CHARS:
        received = received[:_SHOWN_CHARS] + "..."
    # The input of a missing field is the row around it.
    suffix = "" if problem["type"] == "missing" else f" (got {received})"
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}{suffix}"
