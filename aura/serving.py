"""How the services answer: ports, limits, deadlines."""

from __future__ import annotations

from pydantic import Field

from aura.settings import Section


class ServingSettings(Section):
    """Values that the three services and the command that starts them share."""

    host: str = "127.0.0.1"
    visual_analysis_port: int = 8000
    outfit_recommendation_port: int = 8001
    conversational_ai_port: int = 8003
    device: str = "cpu"
    max_image_bytes: int = Field(default=10_000_000, gt=0)
    max_image_pixels: int = Field(default=40_000_000, gt=0)
    max_new_tokens: int = Field(default=160, ge=1)
    chat_timeout_seconds: float = Field(default=120.0, gt=0)
    """Longest time for one answer; the answer is cut there."""
    max_conversations: int = Field(default=8, ge=1)
    """WebSocket conversations open at once in one worker; BentoML's own limits do not count them well."""
    idle_timeout_seconds: float = Field(default=300.0, gt=0)
    """A WebSocket on which nothing is said for so long is closed."""
