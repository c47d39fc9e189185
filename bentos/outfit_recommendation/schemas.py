"""Requests and answers of the outfit service over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from aura.taxonomy import Category
from bentos.outfit_recommendation.messages import ItemShare, Reason, RecommendedItem, WholeOutfit
from bentos.serving import health
from bentos.serving.messages import ModelVersion, ReleasedBody, ReleaseVersions
from bentos.serving.request_body import PictureBase64, RequestBody, Text
from inference.outfits.wishes import Wishes

MAX_ITEMS = 12
"""Largest outfit that the model scores."""


_DESCRIBED: JsonDict = {
    "anyOf": [
        {"required": ["item_id"], "properties": {"item_id": {"type": "string"}}},
        {"required": ["wardrobe_id"], "properties": {"wardrobe_id": {"type": "string"}}},
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


class OutfitItem(RequestBody):
    """A garment: one of the catalog by `item_id`, one of the caller's wardrobe by `wardrobe_id`, for which the caller's token is
    needed, or any by category with a title, an image or both.
    """

    model_config = ConfigDict(json_schema_extra=_DESCRIBED)

    item_id: Annotated[Text, Field(max_length=200)] | None = None
    wardrobe_id: UUID | None = Field(default=None, description="`id` of a garment of `accounts/wardrobe`")
    category: Category | None = None
    title: Text = Field(default="", max_length=300)
    image_base64: PictureBase64 | None = Field(
        default=None, description="a picture of the garment alone, as the base64 of its file"
    )

    @model_validator(mode="after")
    def _described(self) -> Self:
        if self.item_id is not None or self.wardrobe_id is not None:
            return self
        if self.category is None or not (self.title or self.image_base64):
            raise ValueError(
                "give an item_id of the catalog, a wardrobe_id, or a category with a title, an image_base64 or both"
            )
        return self


class Exclusions(RequestBody):
    """What must not be recommended."""

    categories: list[Category] = Field(default_factory=list, max_length=len(Category))
    colours: list[Annotated[Text, Field(min_length=1, max_length=40)]] = Field(
        default_factory=list, max_length=20, description="words, as the items' titles and colours say them"
    )
    item_ids: list[Annotated[Text, Field(min_length=1, max_length=200)]] = Field(
        default_factory=list, max_length=200, description="ids of items of the catalog, or of garments of the wardrobe"
    )


class WishFields(RequestBody):
    """What is wanted besides that garments go together. What an item does not say of itself is not held against it."""

    occasion: Annotated[Text, Field(max_length=60)] = Field(default="", description="for example `office`")
    season: Annotated[Text, Field(max_length=60)] = Field(default="", description="for example `summer`")
    budget: float | None = Field(
        default=None,
        ge=0,
        le=1e9,
        strict=True,
        description="price of an item at most; of a whole outfit, of all that is to be bought",
    )
    exclusions: Exclusions = Field(default_factory=Exclusions)

    def wishes(self) -> Wishes:
        return Wishes(
            occasion=self.occasion, season=self.season, budget=self.budget,
            without_categories=tuple(self.exclusions.categories), without_colours=tuple(self.exclusions.colours),
            without_ids=tuple(self.exclusions.item_ids),
        )  # fmt: skip


class RecommendRequest(WishFields):
    """What the caller wears, and what is wanted."""

    items: list[OutfitItem] = Field(min_length=1, max_length=MAX_ITEMS - 1)
    targets: list[Category] = Field(
        default_factory=list, max_length=len(Category), description="wanted categories; empty: what the outfit lacks"
    )
    k: int = Field(default=5, ge=1, le=50, description="items per category")


class EvaluateRequest(WishFields):
    """An outfit to judge."""

    items: list[OutfitItem] = Field(min_length=1, max_length=MAX_ITEMS)


class OutfitsRequest(WishFields):
    """Garments that whole outfits are put together with."""

    items: list[OutfitItem] = Field(min_length=1, max_length=4)
    source: Literal["catalog", "wardrobe", "both"] = Field(
        default="catalog", description="where the other garments come from; a wardrobe needs the caller's token"
    )
    count: int = Field(default=3, ge=1, le=10, description="outfits at most")


class Outfits(ReleasedBody):
    """Whole outfits, best first; fewer than asked for where there is not enough to choose from."""

    outfits: list[WholeOutfit]
    notes: list[str] = Field(
        default_factory=list, description="what could not be used, in sentences: wishes, garments of a large wardrobe"
    )
    model: ModelVersion


class Recommendation(ReleasedBody):
    """Items per wanted category, best first."""

    targets: dict[Category, list[RecommendedItem]]
    model: ModelVersion
    notes: list[str] = Field(
        default_factory=list, description="what could not be used, in sentences: wishes, your ratings"
    )


class OutfitEvaluation(BaseModel):
    """Compatibility of an outfit."""

    score: float = Field(
        description="probability that the garments go together, 0 to 1, where half of all outfits do; measured as `ece`"
    )
    items: list[ItemShare]
    reasons: list[Reason] = Field(
        default_factory=list,
        description="what the garments have to do with each other; empty when nothing is known of them",
    )
    notes: list[str] = Field(default_factory=list, description="which garments do not fit the wishes, in sentences")
    model: ModelVersion
    release: ReleaseVersions


class Health(health.Health):
    """The service can answer; from which versions, and what it answers without."""

    catalog_items: int
    index_version: str = Field(
        description="release of the index whose items are recommended; empty while there is none"
    )
