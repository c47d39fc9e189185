"""Where a service finds its settings, champions, index and catalog.

In a Bento everything lies in `pinned/` beside the sources, so that the deployment never changes by itself. In a checkout
the registry's `champion` alias and the profile's folders are asked; what is fetched from them lies in
`home()/serving/<profile>`, so that a night under way takes nothing from a service that answers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from aura.artifact import read_json
from aura.errors import RegistryError
from aura.paths import home, profile_paths, repo_root
from aura.serving import ServingSettings
from aura.settings import read_profile, validate
from aura.tracking import TrackingSettings
from bentos.serving.catalog_copy import catalog_copy


@dataclass(frozen=True, kw_only=True)
class Champion:
    """A model that serves: its name, version in the registry and artifact folder."""

    model: str
    version: str
    folder: Path

    def as_dict(self) -> dict[str, str]:
        return {"name": self.model, "version": self.version}


@dataclass(frozen=True, kw_only=True)
class Places:
    """Settings and folders of the profile that this process serves."""

    profile: str
    serving: ServingSettings
    tracking: TrackingSettings
    pinned: Path | None

    @property
    def index(self) -> Path:
        return self.pinned / "index" if self.pinned else profile_paths(self.profile).index

    @property
    def fetched(self) -> Path:
        """Where copies lie that the services of a checkout answer from."""
        return home() / "serving" / self.profile

    def catalog(self) -> Path:
        """Folder of the catalog, which stays as it is while a service runs.

        Raises:
            IndexNotReadyError: there is no catalog, or it is being rewritten.
        """
        if self.pinned:
            return self.pinned / "catalog"
        return catalog_copy(profile_paths(self.profile).workspace / "data" / "catalog", self.fetched)

    def champion(self, model: str) -> Champion:
        """Artifact of the champion; fetched from the registry once per version.

        Raises:
            RegistryError: there is no champion yet.
        """
        if self.pinned:
            note = read_json(self.pinned / "champions" / "champions.json", "the note of the pinned champions")
            return Champion(model=model, version=note[model]["version"], folder=self.pinned / "champions" / model)
        from aura.registry import CHAMPION, Registry

        registry = Registry(self.tracking, self.profile)
        version = registry.at(model, CHAMPION)
        if version is None:
            raise RegistryError(
                f"profile {self.profile!r} has no champion for {model}",
                hint=f"run `aura nightly --profile {self.profile}`, or `aura models promote {model} VERSION`",
            )
        # By candidate, not by number: another registry has another version 1.
        folder = self.fetched / model / version.tags["candidate_id"][:16]
        if not (folder / "config.json").is_file():
            registry.download(version, folder)
        return Champion(model=model, version=version.version, folder=folder)


@lru_cache(maxsize=1)
def places() -> Places:
    """Places of this process: the pinned profile in a Bento, else `AURA_PROFILE` (default `sample`).

    Raises:
        SettingsError: the profile is unknown or its serving or tracking section is wrong.
    """
    pinned = repo_root() / "pinned"
    has_pins = (pinned / "params.yaml").is_file()
    values = read_profile(str(pinned / "params.yaml") if has_pins else os.environ.get("AURA_PROFILE", "sample"))
    return Places(
        profile=values["profile"],
        serving=validate(ServingSettings, values.get("serving"), "serving"),
        tracking=validate(TrackingSettings, values.get("tracking"), "tracking"),
        pinned=pinned if has_pins else None,
    )
