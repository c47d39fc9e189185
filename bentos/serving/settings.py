"""How the services answer: addresses, limits, deadlines. Every command reads this: nothing heavy is imported."""

from __future__ import annotations

import os
from typing import Annotated, Self

from pydantic import Field, StringConstraints, field_validator, model_validator

from aura.errors import SettingsError
from aura.settings import Section
from bentos.accounts.settings import AccountsSettings
from inference.gpu_memory import GpuMemorySettings, memory_plan
from stores.settings import DatabaseSettings

Origin = Annotated[str, StringConstraints(pattern=r"^(\*|https?://[^/\s]+)$")]
"""As a browser sends it: scheme, host and port, without a path or a slash at the end."""


class ServingSettings(Section):
    """Values that the services and the command that starts them share."""

    host: str = "127.0.0.1"
    """Address that the services listen on."""
    ports: dict[str, int] = Field(default_factory=dict)
    """Port of a service by the service's name; one that is not named has its port of `flows/services.py`."""
    device: str = "cpu"
    """Device of the models, as torch names it."""
    engine: str = Field(default="auto", pattern=r"^[a-z0-9-]+$")
    """What runs the detector on a processor: `torch`, `openvino`, `openvino-bf16`, `openvino-int8`; `auto`: the fastest of those
    that answer as in training, measured once per machine and model. Questions are embedded by the fastest too, unless it is
    `torch`."""
    start_timeout_seconds: float = Field(default=180.0, gt=0)
    """Seconds for a service to load its models and answer for the first time, in a night and in `aura serve`."""
    cors_origins: tuple[Origin, ...] = ()
    """Origins whose web pages may call the services, for example `https://shop.example`; `*`: all. Other pages may not, nor
    open a WebSocket, unless they come from the service's own address. Programs that are no browsers are not concerned."""
    max_json_bytes: int = Field(default=1_000_000, gt=0)
    """Body limit in bytes per request without images, and per WebSocket frame."""
    max_body_bytes: int = Field(default=64_000_000, gt=0)
    """Body limit in bytes per request that may carry images; a longer body is refused while it arrives. Base64 in JSON takes a
    third more bytes than the image."""
    max_image_bytes: int = Field(default=10_000_000, gt=0)
    """Size limit in bytes per image file."""
    max_image_pixels: int = Field(default=40_000_000, gt=0, le=178_956_970)
    """Width times height per image. Pillow itself opens nothing larger than the upper bound."""
    max_image_side_px: int = Field(default=20_000, gt=0)
    """Width, and height, per image: a picture of 1 x 40,000,000 pixels costs more than its pixels."""
    decoded_side_px: int = Field(default=2048, ge=64)
    """Long side in pixels of what a model gets; a larger image is reduced while it is decoded. Boxes in answers are those of
    the image that was sent."""
    decoders: int = Field(default=2, ge=1)
    """Images per worker that are decoded at a time; further images wait."""
    decode_seconds: int = Field(default=20, ge=1)
    """Seconds of decoding per image; the image is refused then."""
    max_requests: int = Field(default=24, ge=1)
    """Requests per worker that are answered or wait for it; further ones are refused. Half as many again as saturate two cores,
    so that an answer in an overload takes less than twice as long; a GPU takes more. Health checks do not count."""
    rate_limits: str = ""
    """Requests per caller's address, for example `20/second; 600/minute`; empty: no limit. Health checks do not count. They are
    counted for all workers and replicas together where `AURA_REDIS_URL` names a Redis."""
    answer_seconds: float = Field(default=30.0, gt=0)
    """Seconds per request about photos, outfits and passages, from the moment that its pictures are decoded; it is refused
    then."""
    max_new_tokens: int = Field(default=160, ge=1)
    """Tokens per chat answer where the request names no number."""
    chat_timeout_seconds: float = Field(default=120.0, gt=0, le=540)
    """Seconds per chat answer, which is cut there. Above the upper bound the service itself would give up
    first."""
    openai_model: str | None = None
    """Model behind an OpenAI-compatible API that writes the chat's answers, which are checked, cited and declined as the
    champion's are; the API's address and key come from `OPENAI_BASE_URL` and `OPENAI_API_KEY`. null: the champion answers."""
    max_waiting_answers: int = Field(default=16, ge=1)
    """Chat answers per worker that are made side by side, over HTTP and WebSocket; further ones are refused."""
    drain_seconds: float = Field(default=30.0, gt=0, le=40)
    """Seconds after SIGTERM for which a process goes on to finish the chat answers that it has begun; `aura serve` ends it by
    force after 45."""
    max_conversations: int = Field(default=500, ge=1)
    """Open WebSockets per worker, of which idle ones hold no answer's place; further ones are refused. BentoML's own limits do
    not count them well."""
    idle_timeout_seconds: float = Field(default=300.0, gt=0)
    """Seconds without a frame after which a WebSocket is closed."""
    kept_conversations: int = Field(default=1000, ge=1)
    """Conversations per worker that another WebSocket may go on with; the one unused longest is forgotten first."""
    resume_seconds: float = Field(default=900.0, gt=0)
    """Seconds after its last answer for which a conversation is kept."""

    cache_seconds: int = Field(default=300, ge=0)
    """Seconds that an answer of `analyze`, `recommend` or `rag/query` is kept for equal requests; 0: each is computed."""
    cache_bytes: int = Field(default=32_000_000, gt=0)
    """Bytes of kept answers per worker, where they are not kept in Redis."""

    predictions_share: float = Field(default=0.1, ge=0, le=1)
    """Share of the answers that the prediction log keeps figures of, where there is a database; 0: none
    (docs/watching.md)."""

    @property
    def redis_url(self) -> str:
        """Redis that keeps answers and counts requests, for all replicas together; empty: each worker does so for itself.

        From `AURA_REDIS_URL` alone, as it may hold a password: files of settings are attached to versions and packed.
        """
        return os.environ.get("AURA_REDIS_URL", "")

    gpu_memory: GpuMemorySettings | None = None
    """What lies on the GPU, to be refused at the start where it does not fit (docs/gpu-memory.md); null: nothing is checked."""
    database: DatabaseSettings = DatabaseSettings()
    accounts: AccountsSettings = AccountsSettings()

    @field_validator("rate_limits")
    @classmethod
    def _understood(cls, value: str) -> str:
        if value:
            from limits import parse_many

            parse_many(value)  # a ValueError says what it does not understand
        return value

    def check_gpu_memory(self) -> None:
        """Refuse to start services whose models do not fit onto their GPU.

        Raises:
            SettingsError: they do not, or the plan counts on a base in 4 bits that this service would load in 16.
        """
        if self.gpu_memory is None or not self.device.startswith("cuda"):
            return
        if self.gpu_memory.chat_bits == 4 and self.openai_model is None:
            raise SettingsError(
                "serving.gpu_memory.chat_bits is 4, but the chat's own runner loads its base in 16 bits",
                hint="name the server that has the base in 4 bits with serving.openai_model, or plan with 16",
            )
        memory_plan(self.gpu_memory).check()

    @model_validator(mode="after")
    def _an_image_fits_into_a_request(self) -> Self:
        if self.max_body_bytes < self.max_image_bytes:
            raise ValueError(
                f"max_body_bytes is {self.max_body_bytes}, less than max_image_bytes, which is {self.max_image_bytes}: "
                "no picture of the allowed size could be sent"
            )
        return self
