"""The table of services: the name, address, models and smoke test of each.

A new service is a folder of `bentos/` and a row here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bentos.serving.settings import ServingSettings
from flows import service_smoke_test


@dataclass(frozen=True, kw_only=True)
class Service:
    """One BentoML project under `bentos/`.

    Attributes:
        name: its folder under `bentos/`; with dashes, the last part of its path.
        service_class: name of its BentoML service class.
        default_port: port unless `serving.ports` sets another.
        models: champions that it answers from.
        needs_index: whether it answers from the index.
        needs_database: whether it keeps something in PostgreSQL.
        image_paths: paths below its own whose bodies carry images, as its application says (`make_app`).
        password_paths: paths below its own at which passwords and tokens could be guessed.
        streams: whether it talks over WebSockets, or answers piece by piece.
        smoke_test: tests the service at a URL; see `flows.service_smoke_test`.
    """

    name: str
    service_class: str
    default_port: int
    models: tuple[str, ...]
    smoke_test: Callable[[str], str]
    needs_index: bool = True
    needs_database: bool = False
    image_paths: tuple[str, ...] = ()
    password_paths: tuple[str, ...] = ()
    streams: bool = False

    @property
    def target(self) -> str:
        """Import path of the BentoML service class."""
        return f"bentos.{self.name}.service:{self.service_class}"

    @property
    def path(self) -> str:
        return f"/api/v1/{self.name.replace('_', '-')}"

    @property
    def port_setting(self) -> str:
        """Key of the setting that moves its port."""
        return f"serving.ports.{self.name}"

    def port(self, settings: ServingSettings) -> int:
        return settings.ports.get(self.name, self.default_port)

    def url(self, settings: ServingSettings) -> str:
        return f"http://{settings.host}:{self.port(settings)}{self.path}"

    @staticmethod
    def health_url(url: str) -> str:
        """Address of the health check of the service at a URL."""
        return f"{url}/health"


SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service(
            name="visual_analysis", service_class="VisualAnalysis", default_port=8000,
            models=("detection",), smoke_test=service_smoke_test.visual_analysis,
            image_paths=("/analyze",),
        ),
        Service(
            name="outfit_recommendation", service_class="OutfitRecommendation", default_port=8001,
            models=("outfits",), smoke_test=service_smoke_test.outfit_recommendation,
            image_paths=("/recommend", "/evaluate"),
        ),
        Service(
            name="conversational_ai", service_class="ConversationalAI", default_port=8003,
            models=("chat",), smoke_test=service_smoke_test.conversational_ai,
            streams=True,
        ),
        Service(
            name="accounts", service_class="AccountsService", default_port=8004,
            models=(), smoke_test=service_smoke_test.accounts, needs_index=False, needs_database=True,
            image_paths=("/wardrobe", "/wardrobe/photo"),
            password_paths=("/register", "/token", "/refresh", "/password", "/deletion", "/pages"),
        ),
    )
}  # fmt: skip
