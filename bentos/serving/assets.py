"""What a process answers from: its settings, champions and index, whose release holds the catalog as well.

They come from one of two sources. A Bento has them in `pinned/`, so that a deployment never changes by itself. In a checkout
they come from the registry's `champion` alias and the profile's index; the process reads copies of the champions in
`home()/serving/<profile>`, so that a running night does not disturb it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aura.artifact import read_json
from aura.errors import AuraError, RegistryError
from aura.heavy_imports import heavy_imports
from aura.in_use import hold
from aura.paths import home, profile_paths, repo_root
from aura.private_home import keep_private
from aura.settings import read_profile, read_resolved, validate
from aura.tracking import TrackingSettings
from bentos.serving.messages import ModelVersion
from bentos.serving.request_log import logger
from bentos.serving.settings import ServingSettings

if TYPE_CHECKING:  # a service never needs torch or MLflow
    from aura.registry import ModelVersion as RegisteredVersion
    from aura.registry import Registry
    from inference.retrieval.search import Index

_HASH_CHARS = 16
_LANCE_ERRORS = (OSError, RuntimeError, ValueError)
"""What Lance raises: it defines no error classes."""


@dataclass(frozen=True, kw_only=True)
class Champion:
    """A model that serves: its version and its artifact folder."""

    version: ModelVersion
    folder: Path


class ServedIndex:
    """The index that searches are answered from.

    A reader holds one release, and with it versions of the Lance tables that cleanup may remove a week after a newer release
    is served. With `follow` each search first checks which release is served, which takes a millisecond or two.
    """

    def __init__(self, index: Index, *, follow: bool) -> None:
        self._index = index
        self._follow = follow
        self._cannot_follow = False

    @property
    def version(self) -> str:
        """Number of the release that the last search was answered from."""
        return str(self._index.version)

    @property
    def degraded(self) -> list[str]:
        """That searches are not answered from the release that is served, if so."""
        behind = self._cannot_follow or self._index.fell_back
        return [f"searches stay at index release {self.version}: a newer one cannot be opened"] * behind

    def current(self) -> Index:
        """The index at the served release, or at the release that it holds when the served one cannot be opened."""
        if self._follow:
            try:
                if self._index.refresh():
                    logger.info("the index is at release %d now", self._index.version)
                self._cannot_follow = False
            except (AuraError, *_LANCE_ERRORS) as error:
                self._cannot_follow = True
                logger.warning("cannot follow the index, staying with release %d: %s", self._index.version, error)
        return self._index


class Assets(Protocol):
    """Settings and folders that one process answers from."""

    @property
    def profile(self) -> str: ...

    @property
    def serving(self) -> ServingSettings: ...

    def champion(self, model: str) -> Champion:
        """The champion of a model.

        Raises:
            RegistryError: there is none yet.
        """
        ...

    def index(self, *, texts: bool = False, pictures: bool = False) -> ServedIndex:
        """The served index.

        Args:
            texts, pictures: what it is searched with; the embedding model of the other is not loaded. Its catalog can be read in
                any case.

        Raises:
            IndexNotReadyError: nothing is served yet.
        """
        ...


def open_assets() -> Assets:
    """What lies in `pinned/` if this is a Bento; else what the settings in `AURA_PARAMS` or the profile `AURA_PROFILE` name.

    `aura serve` gives the first; a service that is started without it reads the second (default `sample`).

    Raises:
        SettingsError: the profile is unknown, or its serving or tracking section is wrong.
    """
    pinned = repo_root() / "pinned"
    if (pinned / "params.yaml").is_file():
        return PinnedAssets(pinned)
    keep_private()  # the copies below the home folder
    params = os.environ.get("AURA_PARAMS")
    values = read_resolved(Path(params)) if params else read_profile(os.environ.get("AURA_PROFILE", "sample"))
    return RegistryAssets(
        profile=values["profile"],
        serving=validate(ServingSettings, values.get("serving"), "serving"),
        tracking=validate(TrackingSettings, values.get("tracking"), "tracking"),
    )


class PinnedAssets:
    """What the package stage put into a Bento."""

    def __init__(self, folder: Path) -> None:
        # As a profile: in a container the environment has the last word, for example AURA_SERVING__DEVICE=cuda.
        values = read_profile(str(folder / "params.yaml"))
        self.profile: str = values["profile"]
        self.serving = validate(ServingSettings, values.get("serving"), "serving")
        self._folder = folder

    def champion(self, model: str) -> Champion:
        champions = self._folder / "champions"
        versions = read_json(champions / "champions.json", "the pinned champions' manifest")
        version = ModelVersion(name=model, version=versions[model]["version"])
        return Champion(version=version, folder=champions / model)

    def index(self, *, texts: bool = False, pictures: bool = False) -> ServedIndex:
        return _open_index(self._folder / "index", follow=False, texts=texts, pictures=pictures)


class RegistryAssets:
    """What the registry and the folders of a profile hold when the process starts; its index follows the served release."""

    def __init__(self, profile: str, serving: ServingSettings, tracking: TrackingSettings) -> None:
        self.profile = profile
        self.serving = serving
        self._tracking = tracking
        self._copies = home() / "serving" / profile

    def champion(self, model: str) -> Champion:
        with heavy_imports():
            from aura.registry import CHAMPION, Registry

        registry = Registry(self._tracking, self.profile)
        registered = registry.at(model, CHAMPION)
        if registered is None:
            raise RegistryError(
                f"profile {self.profile!r} has no champion for {model}",
                hint=f"run `aura nightly --profile {self.profile}`, or `aura models promote {model} VERSION`",
            )
        version = ModelVersion(name=model, version=registered.version)
        return Champion(version=version, folder=self._fetched(registry, registered))

    def index(self, *, texts: bool = False, pictures: bool = False) -> ServedIndex:
        return _open_index(profile_paths(self.profile).index, follow=True, texts=texts, pictures=pictures)

    def _fetched(self, registry: Registry, version: RegisteredVersion) -> Path:
        """Folder with a whole copy of a version's artifact, named by the candidate: version 1 differs between registries."""
        folder = self._copies / version.model / version.tags["candidate_id"][:_HASH_CHARS]
        while not hold(registry.fetch(version, folder)):
            pass  # a night's end removed it between the two
        return folder


def _open_index(folder: Path, *, follow: bool, texts: bool, pictures: bool) -> ServedIndex:
    with heavy_imports():
        from inference.retrieval.search import Index, image_embedder_for, no_embedder, text_embedder_for

    index = Index.open(
        folder, text_embedder_for if texts else no_embedder, image_embedder_for if pictures else no_embedder
    )
    return ServedIndex(index, follow=follow)
