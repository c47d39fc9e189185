"""Answers of the visual analysis service over HTTP."""

from __future__ import annotations

from pydantic import Field

from bentos.serving.messages import ModelVersion, ReleasedBody
from bentos.visual_analysis.messages import Garment


class Analysis(ReleasedBody):
    """Garments of a photo, most certain first."""

    width: int
    height: int
    garments: list[Garment]
    model: ModelVersion = Field(description="name and registered version of the model that answered")
    notice: str | None = Field(
        description="what to know before these garments are shown to anyone: that the model has seen drawn pictures only; "
        "null when it has learnt from photos"
    )
