"""The services that exist: what each is called, where it answers, what it needs."""

from __future__ import annotations

from dataclasses import dataclass

from aura.serving import ServingSettings

BUILD_FILES = ("requirements.lock", "pyproject.toml")
"""Files besides code that go into every Bento."""


@dataclass(frozen=True, kw_only=True)
class Service:
    """One BentoML project under `bentos/`.

    Attributes:
        target: import path of the BentoML service class.
        models: champions that it answers from.
        index, catalog: whether it reads the LanceDB index, the catalog's pictures.
    """

    name: str
    target: str
    models: tuple[str, ...]
    index: bool
    catalog: bool

    @property
    def path(self) -> str:
        return f"/api/v1/{self.name.replace('_', '-')}"

    @property
    def bentofile(self) -> str:
        """Path of its build file in the repository."""
        return f"bentos/{self.name}/bentofile.yaml"

    @property
    def port_setting(self) -> str:
        """Key of the setting that holds its port."""
        return f"serving.{self.name}_port"

    def port(self, settings: ServingSettings) -> int:
        return int(getattr(settings, f"{self.name}_port"))

    def url(self, settings: ServingSettings) -> str:
        return f"http://{settings.host}:{self.port(settings)}{self.path}"


SERVICES: dict[str, Service] = {
    service.name: service
    for service in (
        Service(
            name="visual_analysis", target="bentos.visual_analysis.service:VisualAnalysis",
            models=("detection",), index=True, catalog=False,
        ),
        Service(
            name="outfit_recommendation", target="bentos.outfit_recommendation.service:OutfitRecommendation",
            models=("outfits",), index=False, catalog=True,
        ),
        Service(
            name="conversational_ai", target="bentos.conversational_ai.service:ConversationalAI",
            models=("chat",), index=True, catalog=False,
        ),
    )
}  # fmt: skip
