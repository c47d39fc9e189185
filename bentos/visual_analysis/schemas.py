"""Answers of the visual analysis service over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from bentos.serving.errors import ErrorDetail
from bentos.serving.messages import ModelVersion, ReleasedBody
from bentos.serving.request_body import RequestBody
from bentos.visual_analysis.messages import LEAST_SCORE, Garment


class AnalysisOptions(RequestBody):
    """What an analysis holds; parameters of the query."""

    threshold: Annotated[
        float | None,
        Field(
            ge=LEAST_SCORE,
            le=1,
            description="least confidence; without it, each category's own: the best at which enough boxes are right",
        ),
    ] = None
    similar: Annotated[int, Field(ge=0, le=10, description="catalog items per garment")] = 0
    colours: Annotated[bool, Field(description="measure the dominant colours of each garment")] = False
    annotate: Annotated[bool, Field(description="draw the boxes, with names and scores, on the photo")] = False


class GarmentColour(BaseModel):
    """A dominant colour of a garment."""

    name: str = Field(description="for example `navy`")
    hex: str = Field(description="sRGB, for example `#1b2440`")
    share: float = Field(description="of the garment's pixels, 0 to 1")


class AnalyzedGarment(Garment):
    """A garment in the photo."""

    colours: list[GarmentColour] = Field(
        default_factory=list, description="largest first; empty unless the request asks for `colours`"
    )


class Analysis(ReleasedBody):
    """Garments of a photo, most certain first."""

    width: int
    height: int
    garments: list[AnalyzedGarment]
    model: ModelVersion = Field(description="name and registered version of the model that answered")
    notice: str | None = Field(
        description="what to know before these garments are shown to anyone: that the model has seen drawn pictures only, "
        "or which categories it shows only to a `threshold`; null when there is nothing"
    )
    annotated_jpeg: str | None = Field(
        default=None,
        description="base64 of the photo with the boxes drawn, its long side 1024 px at most; null unless asked for",
    )


class PhotoAnswer(BaseModel):
    """One of several photos: its analysis, or why there is none."""

    file_name: str = Field(description="as it was sent")
    analysis: Analysis | None = None
    error: ErrorDetail | None = Field(default=None, description="what is wrong with this photo")


class PhotoAnswers(BaseModel):
    """An answer per photo, in the order of the photos."""

    photos: list[PhotoAnswer]
