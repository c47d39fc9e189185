"""Rows of the tables that `prepare` writes and every later stage reads, and the reader and writer of JSON Lines.

    detection/<split>.json     COCO: `images` of `ImageRow`, `annotations` of `BoxRow`, `categories` of `CategoryRow`
    outfits/items.jsonl        `ItemRow`
    outfits/<split>.jsonl      `OutfitRow`
    outfits/questions/fitb_<split>.jsonl             `FitbRow`, where a source publishes such questions
    outfits/questions/compatibility_<split>.jsonl    `CompatibilityRow`, likewise
    chat/<split>.jsonl         `DialogueRow`
    catalog/catalog.jsonl      `CatalogRow`
    knowledge/queries.jsonl    `QueryRow`
    knowledge/questions/{validation,test}.jsonl    `QuestionRow`

`detection`, `outfits` and `catalog` hold `sources.json` as well: where their rows come from (`aura.training_sources`).
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
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from aura.errors import DataError
from aura.problems import Problems
from aura.taxonomy import Category
from aura.wording import plain_text, says

PREPARE_AGAIN = "run the prepare stage: aura data prepare"
_SHOWN_CHARS = 80

Text = Annotated[str, StringConstraints(min_length=1)]
Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
QuestionKind = Literal["answerable", "out-of-scope", "follow-up", "no"]
QUESTION_KINDS: tuple[QuestionKind, ...] = get_args(QuestionKind)
QUESTION_SPLITS = ("validation", "test")
"""Held-out questions have no training split: that is what holds them out."""


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


class FitbRow(Row):
    """A published fill-in-the-blank question: which candidate completes the garments of the context; ids of items."""

    outfit_id: Text
    """The outfit that was blanked; one that the model was not trained on."""
    context: tuple[str, ...] = Field(min_length=1)
    candidates: tuple[str, ...] = Field(min_length=2)
    answer: int = Field(ge=0)
    """Index of the true one in `candidates`."""

    @property
    def item_ids(self) -> tuple[str, ...]:
        """All items that the question names."""
        return (*self.context, *self.candidates)


class CompatibilityRow(Row):
    """A published compatibility question: were these items worn together?"""

    items: tuple[str, ...] = Field(min_length=1)
    worn_together: bool

    @property
    def item_ids(self) -> tuple[str, ...]:
        """All items that the question names."""
        return self.items


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


class QuestionRow(Row):
    """A held-out question, with what a right answer holds."""

    id: Text
    kind: QuestionKind
    """"no" is a question whose true answer is no, don't, or not worth it."""
    documents: tuple[str, ...]
    """Slugs of the pages that answer the question; empty when it is out of scope."""
    messages: tuple[MessageRow, ...] = Field(min_length=1)
    """One conversation that ends with the user's question; only a follow-up has more than one message."""
    must_hold: tuple[tuple[str, ...], ...]
    """Key facts; each is held when any of its wordings is said. Empty when the question is out of scope."""
    must_not_say: tuple[str, ...] = ()
    """Wordings that contradict the pages, or that answer something else."""

    @property
    def questions(self) -> tuple[str, ...]:
        """What the user says in the conversation, in plain spelling: equal for questions that are the same."""
        return tuple(plain_text(message.content) for message in self.messages if message.role == "user")

    @model_validator(mode="after")
    def _follows_the_rules(self) -> QuestionRow:
        rules = (*self._conversation_rules(), *self._fact_rules())
        if rules:
            raise ValueError("; ".join(rules))
        return self

    def _conversation_rules(self) -> Iterator[str]:
        roles = [message.role for message in self.messages]
        if roles != [*["user", "assistant"] * (len(roles) // 2), "user"]:
            yield "messages: turns must alternate, user first and last; end with the question"
        if self.kind == "follow-up" and len(roles) < 3:
            yield "messages: give the earlier question and its answer before a follow-up"
        if self.kind != "follow-up" and len(roles) > 1:
            yield f"messages: give the question alone, or call it a follow-up instead of {self.kind}"
        if not all(self.questions):
            yield "messages: write a question that has words"

    def _fact_rules(self) -> Iterator[str]:
        if self.kind == "out-of-scope":
            if self.documents or self.must_hold:
                yield "leave documents and must_hold empty: no page answers a question that is out of scope"
        elif not (self.documents and self.must_hold):
            yield "name in documents the pages that answer the question, and in must_hold the facts of a right answer"
        if not all(self.must_hold) or not all(map(plain_text, chain(*self.must_hold, self.must_not_say))):
            yield "give each key fact a wording, and each wording a word or a number"
        for wrong in self.must_not_say:
            for right in (wording for fact in self.must_hold for wording in fact if says(wording, wrong)):
                yield f"must_not_say: take out {wrong!r}, or the wording {right!r} of a key fact, which holds it"


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
    if problem["type"] == "value_error" and not problem["loc"]:
        return str(problem["ctx"]["error"])
    received = repr(problem["input"])
    if len(received) > _SHOWN_CHARS:
        received = received[:_SHOWN_CHARS] + "..."
    # The input of a missing field is the row around it.
    suffix = "" if problem["type"] == "missing" else f" (got {received})"
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}{suffix}"
