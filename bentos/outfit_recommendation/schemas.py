"""Requests and answers of the outfit service over HTTP."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from aura.taxonomy import Category
from bentos.outfit_recommendation.messages import ItemShare, RecommendedItem
from bentos.serving import health
from bentos.serving.messages import ModelVersion, ReleasedBody, ReleaseVersions
from bentos.serving.request_body import RequestBody, Text

MAX_ITEMS = 12
"""Largest outfit that the model scores."""


_DESCRIBED: JsonDict = {
    "anyOf": [
        {"required": ["item_id"], "properties": {"item_id": {"type": "string"}}},
        {
            "required": ["category", "title"],
            "properties": {"category": {"type": "string"}, "title": {"pattern": r"\S"}},
        },
        {
            "required": ["category", "image_base64"],
            "properties": {"category": {"type": "string"}, "image_base64": {"type": "string", "minLength": 1}},
        },
    ]
}
"""The rule of `OutfitItem` in JSON Schema."""

PictureBase64 = Annotated[
    str,
    Field(json_schema_extra={"format": "byte", "contentEncoding": "base64", "contentMediaType": "image/*"}),
]


class OutfitItem(RequestBody):
    """A garment: one of the catalog by `item_id`, or the caller's own by category with a title, an image or both."""

    model_config = ConfigDict(json_schema_extra=_DESCRIBED)

    item_id: Annotated[Text, Field(max_length=200)] | None = None
    category: Category | None = None
    title: Text = Field(default="", max_length=300)
    image_base64: PictureBase64 | None = Field(
        default=None, description="a picture of the garment alone, as the base64 of its file"
    )

    @model_validator(mode="after")
    def _described(self) -> Self:
        if self.item_id is None and (self.category is None or not (self.title or self.image_base64)):
            raise ValueError("give an item_id of the catalog, or a category with a title, an image_base64 or both")
        return self


class RecommendRequest(RequestBody):
    """What the caller wears, and what is wanted."""

    items: list[OutfitItem] = Field(min_length=1, max_length=MAX_ITEMS - 1)
    targets: list[Category] = Field(
        default_factory=list, max_length=len(Category), description="wanted categories; empty: what the outfit lacks"
    )
    k: int = Field(default=5, ge=1, le=50, description="items per category")


class EvaluateRequest(RequestBody):
    """An outfit to judge."""

    items: list[OutfitItem] = Field(min_length=1, max_length=MAX_ITEMS)


class Recommendation(ReleasedBody):
    """Items per wanted category, best first."""

    targets: dict[Category, list[RecommendedItem]]
    model: ModelVersion


class OutfitEvaluation(BaseModel):
    """Compatibility of an outfit."""

    score: float = Field(
        description="probability that the garments go together, 0 to 1, where half of all outfits do; measured as `ece`"
    )
    items: list[ItemShare]
    model: ModelVersion
    release: ReleaseVersions


class Health(health.Health):
    """The service can answer; from which versions, and what it answers without."""

    catalog_items: int
    index_version: str = Field(
        description="release of the index whose items are recommended; empty while there is none"
    )
