"""Assets of a test: what it puts in, and nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from bentos.serving.assets import Champion, ServedIndex
from bentos.serving.messages import ModelVersion
from bentos.serving.settings import ServingSettings


@dataclass(kw_only=True)
class StubAssets:
    """One champion folder for every model, version 1; an index where the test gives one."""

    profile: str = "sample"
    serving: ServingSettings = field(default_factory=ServingSettings)
    champion_folder: Path = Path()
    served_index: ServedIndex | Exception | None = None

    def champion(self, model: str) -> Champion:
        return Champion(version=ModelVersion(name=model, version="1"), folder=self.champion_folder)

    def index(self, *, texts: bool = False, pictures: bool = False) -> ServedIndex:
        if isinstance(self.served_index, Exception):
            raise self.served_index
        assert self.served_index is not None, "this test has no index"
        return self.served_index
