"""Schemas of the rows that preparation joins, and a collector that reports every problem at once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aura.errors import DataError
from aura.taxonomy import Category

_SHOWN = 20


class _Row(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ImageRow(_Row):
    """One picture of the detection set."""

    id: int
    file_name: str = Field(min_length=1)
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    group: str = Field(min_length=1)
    photo_type: str = Field(default="photo", min_length=1)
    """What kind of picture it is (street, figure, product...): the detector is judged per type as well."""


class BoxRow(_Row):
    """One box: COCO's x, y, width, height in pixels."""

    id: int
    image_id: int
    category_id: int = Field(ge=0, lt=len(Category))
    bbox: tuple[float, float, float, float]
    area: float = Field(gt=0)
    iscrowd: Literal[0]


class ItemRow(_Row):
    """One garment of the outfits."""

    item_id: str = Field(min_length=1)
    category: Category
    title: str = Field(min_length=1)
    attributes: dict[str, str]
    image: str = Field(min_length=1)


class CatalogRow(ItemRow):
    """One item of the catalog."""

    description: str = Field(min_length=1)


class OutfitRow(_Row):
    """Items worn together."""

    outfit_id: str = Field(min_length=1)
    group: str = Field(min_length=1)
    items: list[str] = Field(min_length=2)


class MessageRow(_Row):
    """One turn."""

    role: Literal["user", "assistant"]
    content: str = Field(min_length=1)


class DialogueRow(_Row):
    """A conversation and the pages that it is grounded in."""

    id: str = Field(min_length=1)
    documents: list[str] = Field(min_length=1)
    messages: list[MessageRow] = Field(min_length=2)


RowType = TypeVar("RowType", bound=BaseModel)


class Problems:
    """Collects what is wrong, so that a user sees all of it in one message."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def add(self, where: str, what: str) -> None:
        self.found.append(f"{where}: {what}")

    def rows(self, schema: type[RowType], values: Iterable[dict[str, Any]], where: str) -> list[RowType]:
        """Rows that fit the schema; the others become problems."""
        good = []
        for number, value in enumerate(values, start=1):
            try:
                good.append(schema.model_validate(value))
            except ValidationError as error:
                details = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
                self.add(f"{where}, row {number}", details)
        return good

    def unique(self, keys: Iterable[Any], where: str) -> None:
        seen: set[Any] = set()
        for key in keys:
            if key in seen:
                self.add(where, f"{key!r} appears twice")
            seen.add(key)

    def raise_if_any(self, what: str, hint: str) -> None:
        """Raise when something was found.

        Raises:
            DataError: the first twenty problems and how many there are.
        """
        if self.found:
            shown = "\n".join(f"  - {problem}" for problem in self.found[:_SHOWN])
            more = f"\n  ... and {len(self.found) - _SHOWN} more" if len(self.found) > _SHOWN else ""
            raise DataError(f"{len(self.found)} problem(s) in {what}:\n{shown}{more}", hint=hint)
