"""Assets of a test: what it puts in, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aura.releases import IndexVersion, Release
from bentos.serving.assets import Champion
from bentos.serving.messages import ModelVersion, ReleaseVersions
from bentos.serving.settings import ServingSettings
from inference.retrieval.released_catalog import kept_catalogs

RELEASE = Release(number=1, models={"detection": "1", "outfits": "1", "chat": "1"}, index=IndexVersion(number=1))


def made_by(model: str, *, index: str | None = "1") -> ReleaseVersions:
    """What an answer of a runner with these assets carries."""
    return ReleaseVersions(id="1", versions={model: "1"} | ({"index": index} if index else {}))


@dataclass(kw_only=True)
class StubAssets:
    """One folder for every model, and an index where the test gives one; another release when the test sets one."""

    profile: str = "sample"
    serving: ServingSettings = field(default_factory=ServingSettings)
    follows: bool = False
    serves: Release = RELEASE
    before: Release | None = None
    champion_folder: Path = Path()
    served_last: dict[str, Release] = field(default_factory=dict)
    served_index: Any = None
    """An index, an error that opening it raises, or None."""
    kept_in: Path | None = None
    """Folder of an index whose other releases are known too."""

    def release(self) -> Release:
        return self.serves

    def release_before(self, release: Release) -> Release | None:
        return self.before

    def last_served(self, model: str) -> Release | None:
        return self.served_last.get(model)

    def has_served(self, model: str, release: Release) -> None:
        self.served_last[model] = release

    @contextmanager
    def champion(self, model: str, release: Release) -> Iterator[Champion]:
        version = ModelVersion(name=model, version=release.models[model])
        yield Champion(version=version, folder=self.champion_folder)

    def index(self, release: Release, *, texts: bool = False, pictures: bool = False) -> Any:
        if isinstance(self.served_index, Exception):
            raise self.served_index
        return self.served_index

    def catalogs(self, opened: Sequence[Any] = ()) -> list[Any]:
        return kept_catalogs(self.kept_in, opened) if self.kept_in else [*opened]
