"""What passes between the visual analysis service and its runner."""

from __future__ import annotations

from typing import Protocol

from pydantic import Field

from aura.taxonomy import Category
from bentos.serving.errors import Failure
from bentos.serving.messages import Message, RgbImage, RunnerAnswer, RunnerRequest, Status

LEAST_SCORE = 0.05
"""Confidence below which a box is noise: every query of a DETR gives a box."""

CanvasSize = tuple[int, int]
"""Width and height of the detector's input, which no photo needs to exceed; another detector may have another one."""


class AnalyzeRequest(RunnerRequest):
    """A photo, and the options of its analysis."""

    photo: RgbImage
    """Scaled down to the detector's canvas; larger, where garments are cut out of it to be looked up."""
    threshold: float | None
    """Least confidence; None: what training chose for each category."""
    similar: int
    """Catalog items per garment."""


class Similar(Message):
    """A catalog item that looks like a garment."""

    item_id: str
    title: str
    category: Category
    similarity: float = Field(description="cosine similarity of the image descriptors, -1 to 1")


class Garment(Message):
    """A garment in the photo."""

    category: Category
    score: float = Field(description="confidence, 0 to 1")
    box: tuple[float, float, float, float] = Field(description="x0, y0, x1, y1 in pixels of the upright photo")
    similar: list[Similar] = Field(default_factory=list)


class FoundGarments(RunnerAnswer):
    """Garments of a photo, most certain first."""

    garments: list[Garment]
    notice: str | None = None
    """What a caller must know of the model's training."""
    canvas_px: CanvasSize


class RunnerStatus(Status):
    """The runner can answer."""

    canvas_px: CanvasSize


class Runner(Protocol):
    """The runner as the service calls it."""

    async def analyze(self, requests: list[AnalyzeRequest]) -> list[FoundGarments | Failure]: ...

    async def status(self) -> RunnerStatus: ...


def at_least_a_pixel(box_xyxy_px: tuple[float, float, float, float]) -> tuple[int, int, int, int]:
    """The box in whole pixels, as a garment is cut out of its photo."""
    x0, y0, x1, y1 = (round(value) for value in box_xyxy_px)
    return x0, y0, max(x1, x0 + 1), max(y1, y0 + 1)
