"""Answers of the visual analysis service."""

from __future__ import annotations

from pydantic import BaseModel, Field

from aura.taxonomy import Category


class Similar(BaseModel):
    """A catalog item that looks like a garment."""

    item_id: str
    title: str
    category: Category
    similarity: float = Field(description="cosine similarity of the picture descriptors, -1 to 1")


class Garment(BaseModel):
    """A garment in the photo."""

    category: Category
    score: float = Field(description="confidence, 0 to 1")
    box: tuple[float, float, float, float] = Field(description="x0, y0, x1, y1 in pixels of the upright photo")
    similar: list[Similar] = Field(default_factory=list)


class Analysis(BaseModel):
    """Garments of a photo, most certain first."""

    width: int
    height: int
    garments: list[Garment]
    model: dict[str, str] = Field(description="name and registered version of the model that answered")


class Health(BaseModel):
    """The service can answer; which versions it answers from."""

    status: str = "ok"
    profile: str
    model: dict[str, str]
