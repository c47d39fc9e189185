"""What all services and runners exchange: requests with an id, answers with a model version, raw images.

BentoML pickles `model_dump()` of a message and validates what arrives, so bytes cross as they are. An unknown field
is refused, which also tells the members of a union apart.
"""

from __future__ import annotations

import math
import time
from typing import Self

from asgi_correlation_id import correlation_id
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

_CHANNELS = 3


class Message(BaseModel):
    """Base of everything that passes between a service and its runner."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelVersion(Message):
    """Name of a model and its version in the registry."""

    name: str
    version: str


class ReleaseVersions(Message):
    """The release that an answer was made from, and which versions of it."""

    id: str = Field(default="", description="number of the release; empty when the answer belongs to none")
    versions: dict[str, str] = Field(
        default_factory=dict, description="versions that made the answer: the model's, and the index's if there is one"
    )

    def header(self) -> str:
        """Value of `x-aura-release`, for example `7;detection=2;index=3` (an item with parameters, RFC 9651)."""
        return ";".join([self.id, *(f"{name}={version}" for name, version in sorted(self.versions.items()))])


class ReleasedBody(BaseModel):
    """Base of an answer over HTTP that a release made."""

    release: ReleaseVersions


class RunnerRequest(Message):
    """Base of every request to a runner."""

    request_id: str = Field(default_factory=lambda: correlation_id.get() or "")
    """Id of the HTTP request that the service works on, so that both logs name it."""
    sent_at: float = Field(default_factory=time.time, repr=False)
    """Seconds since the epoch: when the service made it, so that the runner knows how long it has waited."""
    seconds_left: float = math.inf
    """Seconds, from the arrival of this message, after which its answer is of no use to anyone."""
    _arrived: float = PrivateAttr(default_factory=time.monotonic)

    @property
    def age_seconds(self) -> float:
        """Seconds since it was made; in the process that has made it."""
        return max(0.0, time.time() - self.sent_at)

    @property
    def is_overdue(self) -> bool:
        """Whether the time is over; true in the process that has received the message."""
        return time.monotonic() - self._arrived > self.seconds_left


class RunnerAnswer(Message):
    """Base of every answer of a runner."""

    model: ModelVersion
    """Version that made this answer; the runner may hold another one by now."""
    release: ReleaseVersions = ReleaseVersions()
    """Release that it was made from."""


class Status(RunnerAnswer):
    """The runner can answer."""

    degraded: list[str] = Field(default_factory=list)
    """What it answers without, in words for callers."""


class RgbImage(Message):
    """Pixels of a decoded, upright image."""

    width_px: int = Field(gt=0)
    height_px: int = Field(gt=0)
    rgb: bytes = Field(repr=False)
    """Three bytes per pixel, row by row."""

    @model_validator(mode="after")
    def _all_pixels_are_there(self) -> Self:
        expected = self.width_px * self.height_px * _CHANNELS
        if len(self.rgb) != expected:
            raise ValueError(f"{self.width_px} x {self.height_px} px are {expected} bytes, not {len(self.rgb)}")
        return self

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        """The pixels of an RGB image."""
        return cls(width_px=image.width, height_px=image.height, rgb=image.tobytes())

    def image(self) -> Image.Image:
        return Image.frombytes("RGB", (self.width_px, self.height_px), self.rgb)
