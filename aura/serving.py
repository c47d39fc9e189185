"""How the services answer: ports, limits, deadlines."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from aura.settings import Section


class ServingSettings(Section):
    """Values that the three services and the command that starts them share."""

    host: str = "127.0.0.1"
    visual_analysis_port: int = 8000
    outfit_recommendation_port: int = 8001
    conversational_ai_port: int = 8003
    device: str = "cpu"
    start_timeout_seconds: float = Field(default=180.0, gt=0)
    """Seconds for a service to load its models and answer for the first time, in a night and in `aura serve`."""
    max_body_bytes: int = Field(default=64_000_000, gt=0)
    """Largest request; what is longer is refused while it arrives. In JSON a picture takes a third more than its bytes."""
    max_image_bytes: int = Field(default=10_000_000, gt=0)
    max_image_pixels: int = Field(default=40_000_000, gt=0, le=178_956_970)
    """Width times height. Pillow itself opens nothing larger than the upper limit."""
    max_new_tokens: int = Field(default=160, ge=1)
    chat_timeout_seconds: float = Field(default=120.0, gt=0, le=540)
    """Longest time for one answer; the answer is cut there. Beyond the upper limit the service itself would give up first."""
    max_waiting_answers: int = Field(default=16, ge=1)
    """Answers that are generated or wait for their turn, over HTTP and WebSocket, in one worker; further ones are refused."""
    max_conversations: int = Field(default=8, ge=1)
    """WebSocket conversations open at once in one worker; BentoML's own limits do not count them well."""
    idle_timeout_seconds: float = Field(default=300.0, gt=0)
    """A WebSocket on which nothing is said for so long is closed."""

    @model_validator(mode="after")
    def _a_picture_fits_into_a_request(self) -> Self:
        if self.max_body_bytes < self.max_image_bytes:
            raise ValueError(
                f"max_body_bytes is {self.max_body_bytes}, less than max_image_bytes, which is {self.max_image_bytes}: "
                "no picture of the allowed size could be sent"
            )
        return self
