"""What passes between the outfit recommendation service and its runner."""

from __future__ import annotations

from typing import Protocol

from pydantic import Field

from aura.taxonomy import Category
from bentos.serving.errors import Failure
from bentos.serving.messages import Message, RgbImage, RunnerAnswer, RunnerRequest, Status


class Garment(Message):
    """A garment: one of the catalog by `item_id`, or the caller's own by category with a title, an image or both."""

    item_id: str | None = None
    category: Category | None = None
    title: str = ""
    image: RgbImage | None = None


class JudgeOutfit(RunnerRequest):
    """An outfit to judge."""

    items: list[Garment]


class CompleteOutfit(RunnerRequest):
    """What the caller wears, and what is wanted."""

    items: list[Garment]
    targets: list[Category]
    """Wanted categories; empty: what the outfit lacks."""
    k: int
    """Items per category."""


class ItemShare(Message):
    """How one item of the outfit moves the score."""

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


class Judgement(RunnerAnswer):
    """Compatibility of an outfit."""

    score: float
    """Probability that it goes together, 0 to 1."""
    items: list[ItemShare]


class Completions(RunnerAnswer):
    """Items per wanted category, best first."""

    targets: dict[Category, list[RecommendedItem]]


class RunnerStatus(Status):
    """The runner can answer."""

    catalog_items: int
    index_version: str
    """Release of the index that is recommended from; empty while there is none."""


class Runner(Protocol):
    """The runner as the service calls it."""

    async def evaluate(self, outfits: list[JudgeOutfit]) -> list[Judgement | Failure]: ...

    async def recommend(self, requests: list[CompleteOutfit]) -> list[Completions | Failure]: ...

    async def status(self) -> RunnerStatus: ...
