"""What passes between the outfit recommendation service and its runner."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import Field

from aura.taxonomy import Category
from bentos.serving.errors import Failure
from bentos.serving.messages import Message, RgbImage, RunnerAnswer, RunnerRequest, Status
from inference.outfits.colour_relations import Relation
from inference.outfits.reasons import ReasonKind
from inference.outfits.wishes import Wishes


class Garment(Message):
    """A garment: one of the catalog by `item_id`, or the caller's own by category with a title, an image or both."""

    item_id: str | None = None
    wardrobe_id: str | None = None
    """Of the caller's own that comes from the wardrobe."""
    category: Category | None = None
    title: str = ""
    colour: str | None = None
    image: RgbImage | None = None
    picture_file: str | None = None
    """Path of the picture of a garment from the wardrobe, which this machine has written itself."""


class JudgeOutfit(RunnerRequest):
    """An outfit to judge."""

    items: list[Garment]
    wishes: Wishes = Wishes()


class RatedOutfit(Message):
    """An outfit that the caller saved or rejected."""

    saved: bool
    item_ids: list[str]
    """Ids of the catalog, or of the caller's wardrobe."""


class Ratings(Message):
    """What the caller's own ranking rests on."""

    outfits: list[RatedOutfit]
    wardrobe: list[Garment]


class CompleteOutfit(RunnerRequest):
    """What the caller wears, and what is wanted."""

    items: list[Garment]
    targets: list[Category]
    """Wanted categories; empty: what the outfit lacks."""
    k: int
    """Items per category."""
    wishes: Wishes = Wishes()
    ratings: Ratings | None = None
    """None: everybody's ranking."""


class MakeOutfits(RunnerRequest):
    """What whole outfits are made from, and of what."""

    items: list[Garment]
    wardrobe: list[Garment]
    """The caller's own garments that may be added."""
    from_catalog: bool
    """Whether items of the catalog may be added."""
    count: int
    wishes: Wishes = Wishes()


class Reason(Message):
    """Something that garments have to do with each other."""

    kind: ReasonKind
    text: str
    relation: Relation | None = Field(default=None, description="of the colours, where the reason is one of colour")


class ItemShare(Message):
    """How one item of the outfit moves the score."""

    item_id: str | None = Field(default=None, description="of an item of the catalog")
    wardrobe_id: str | None = Field(default=None, description="of a garment of the caller's wardrobe")
    category: Category
    title: str = Field(description="the caller's; of a picture without one, what it shows: `Navy shoes`")
    contribution: float = Field(description="score with it minus score without it; negative: it hurts the outfit")


class RecommendedItem(Message):
    """A catalog item that completes the outfit."""

    item_id: str
    category: Category
    title: str
    similarity: float = Field(description="cosine similarity to what the model asks for, -1 to 1")
    outfit_score: float = Field(description="probability that the outfit with this item goes together, 0 to 1")
    shift: float = Field(
        default=0.0,
        description="what your saved and rejected outfits and your wardrobe move it by, at most 0.05, where you allow that "
        "(`PUT consent`); a reason of the kind `preference` says why. Items stand in the order of similarity + shift",
    )
    price: float | None = Field(default=None, description="null where the catalog has none")
    reasons: list[Reason] = Field(
        default_factory=list, description="why it goes with the outfit; empty when nothing is known of these garments"
    )


class Judgement(RunnerAnswer):
    """Compatibility of an outfit."""

    score: float
    """Probability that it goes together, 0 to 1."""
    items: list[ItemShare]
    reasons: list[Reason] = Field(default_factory=list)
    notes: list[str] = Field(default_factory=list)


class Completions(RunnerAnswer):
    """Items per wanted category, best first."""

    targets: dict[Category, list[RecommendedItem]]
    notes: list[str] = Field(default_factory=list)
    """Which wishes could not be used, in sentences."""


class OutfitPiece(Message):
    """A garment of an outfit."""

    source: Literal["request", "wardrobe", "catalog"] = Field(description="where it comes from")
    item_id: str | None = Field(default=None, description="of an item of the catalog")
    wardrobe_id: str | None = Field(default=None, description="of a garment of the caller's wardrobe")
    category: Category
    title: str
    price: float | None = Field(default=None, description="null where the catalog has none")
    reasons: list[Reason] = Field(
        default_factory=list, description="why it goes with the garments before it; empty when nothing is known of them"
    )


class WholeOutfit(Message):
    """An outfit, the caller's garments first."""

    score: float = Field(description="probability that the garments go together, 0 to 1")
    pieces: list[OutfitPiece]
    to_buy: float | None = Field(
        default=None, description="price of what comes from the catalog; null where it has none"
    )
    lacks: list[Category] = Field(
        default_factory=list, description="what a whole outfit has and nothing was there for; empty: it is whole"
    )


class MadeOutfits(RunnerAnswer):
    """Whole outfits, best first."""

    outfits: list[WholeOutfit]
    notes: list[str] = Field(default_factory=list)


class RunnerStatus(Status):
    """The runner can answer."""

    catalog_items: int
    index_version: str
    """Release of the index that is recommended from; empty while there is none."""


class Runner(Protocol):
    """The runner as the service calls it."""

    async def evaluate(self, outfits: list[JudgeOutfit]) -> list[Judgement | Failure]: ...

    async def recommend(self, requests: list[CompleteOutfit]) -> list[Completions | Failure]: ...

    async def outfits(self, requests: list[MakeOutfits]) -> list[MadeOutfits | Failure]: ...

    async def status(self) -> RunnerStatus: ...
