"""What a process answers from: its settings, and the parts of one release.

They come from one of two sources. A Bento has them in `pinned/`, so that a deployment never changes by itself. In a checkout
they are what the registry's release names, with the index of the profile; `bentos.serving.following` follows it. The process
reads copies of the models in `home()/serving/<profile>`, so that a running night does not disturb it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from aura.artifact import read_json
from aura.errors import RegistryError, RegistryUnavailableError
from aura.heavy_imports import heavy_imports
from aura.in_use import holding
from aura.paths import home, profile_paths, repo_root
from aura.private_home import keep_private
from aura.releases import Release, Releases
from aura.settings import read_profile, read_resolved, validate
from aura.tracking import TrackingSettings
from bentos.serving.last_served import LastServed, read_last_served
from bentos.serving.messages import ModelVersion
from bentos.serving.settings import ServingSettings
from inference.retrieval.settings import IndexSettings

if TYPE_CHECKING:  # a service never needs torch or MLflow
    from aura.registry import Registry
    from inference.retrieval.released_catalog import ReleasedCatalog
    from inference.retrieval.search import Index

RELEASE = "release.json"
"""File in `pinned/` that names what is pinned."""
_HASH_CHARS = 16


@dataclass(frozen=True, kw_only=True)
class Champion:
    """A model of a release: its version and its artifact folder."""

    version: ModelVersion
    folder: Path


class Assets(Protocol):
    """Settings and folders that one process answers from."""

    @property
    def profile(self) -> str: ...

    @property
    def serving(self) -> ServingSettings: ...

    @property
    def follows(self) -> bool:
        """Whether another release may come while the process lives."""
        ...

    def release(self) -> Release:
        """What serves together now.

        Raises:
            RegistryUnavailableError: the registry does not answer.
        """
        ...

    def release_before(self, release: Release) -> Release | None:
        """The release that served before; None when there is none."""
        ...

    def last_served(self, model: str) -> Release | None:
        """What the runner of a model served last on this machine, for a start while the registry is away."""
        ...

    def has_served(self, model: str, release: Release) -> None:
        """The runner of a model serves a release: it passed its smoke test."""
        ...

    def champion(self, model: str, release: Release) -> AbstractContextManager[Champion]:
        """A model of a release; its folder stays while it is loaded.

        Raises:
            RegistryError: the release has no such model.
            ArtifactError: its files are not those that were registered.
        """
        ...

    def index(self, release: Release, *, texts: bool = False, pictures: bool = False) -> Index | None:
        """The index of a release; None when it has none.

        Args:
            texts, pictures: what it is searched with; the embedding model of the other is not loaded. Its catalog can be read in
                any case.

        Raises:
            IndexNotReadyError: it is damaged, or no longer kept.
            IndexUnavailableError: the object store that holds it does not answer.
        """
        ...

    def catalogs(self, opened: Sequence[ReleasedCatalog] = ()) -> list[ReleasedCatalog]:
        """Catalogs of all releases of the index that are kept; those of `opened` are not read again."""
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
        index=validate(IndexSettings, values.get("index"), "index"),
    )


class PinnedAssets:
    """What the package stage put into a Bento."""

    follows = False

    def __init__(self, folder: Path) -> None:
        # As a profile: in a container the environment has the last word, for example AURA_SERVING__DEVICE=cuda.
        values = read_profile(str(folder / "params.yaml"))
        self.profile: str = values["profile"]
        self.serving = validate(ServingSettings, values.get("serving"), "serving")
        self._folder = folder

    def release(self) -> Release:
        return Release.from_dict(read_json(self._folder / RELEASE, "the pinned release"))

    def release_before(self, release: Release) -> Release | None:
        return None

    def last_served(self, model: str) -> Release | None:
        return None

    def has_served(self, model: str, release: Release) -> None:
        pass

    @contextmanager
    def champion(self, model: str, release: Release) -> Iterator[Champion]:
        yield Champion(version=_version(model, release), folder=self._folder / "champions" / model)

    def index(self, release: Release, *, texts: bool = False, pictures: bool = False) -> Index | None:
        return _open_index(self._folder / "index", release, self.serving.engine, texts=texts, pictures=pictures)

    def catalogs(self, opened: Sequence[ReleasedCatalog] = ()) -> list[ReleasedCatalog]:
        return []


class RegistryAssets:
    """What the registry's release and the folders of a profile hold, now and whenever it changes."""

    follows = True

    def __init__(
        self, profile: str, serving: ServingSettings, tracking: TrackingSettings, index: IndexSettings | None = None
    ) -> None:
        """Args:
        index: where the index lies; None: in the home folder.
        """
        self.profile = profile
        self.serving = serving
        self._tracking = tracking
        self._copies = home() / "serving" / profile
        self._loaded_copies: dict[str, tuple[str, str]] = {}
        """Model to the name of the copy that was loaded last, and its hash."""
        self._index = (index or IndexSettings()).address(profile_paths(profile))

    def release(self) -> Release:
        found = self._releases.serving()
        if found is None:  # a home from before there were releases
            with heavy_imports():
                from inference.retrieval.releases import served_index

            found = self._releases.make(
                lambda: served_index(self._index), "what the champions' aliases and the index named"
            )
        return found

    def release_before(self, release: Release) -> Release | None:
        return None if release.replaced is None else self._releases.get(release.replaced)

    def last_served(self, model: str) -> Release | None:
        last = read_last_served(self._copies / model)
        return last.release if last else None

    def has_served(self, model: str, release: Release) -> None:
        if (copy := self._loaded_copies.get(model)) is not None:
            LastServed(release=release, copy=copy[0], content_hash=copy[1]).write(self._copies / model)

    @contextmanager
    def champion(self, model: str, release: Release) -> Iterator[Champion]:
        version = _version(model, release)
        while True:
            with holding(self._copy(model, release)) as held:
                if held:  # else a night's end removed it between the two
                    yield Champion(version=version, folder=self._copies / model / self._loaded_copies[model][0])
                    return

    def _copy(self, model: str, release: Release) -> Path:
        """Folder with a whole copy of a model of a release."""
        folder = self._copies / model
        try:
            from aura.registry import ARTIFACT_HASH

            registered = self._registry.with_hash(self._registry.version(model, release.models[model]))
            # Named by the candidate: version 1 differs between registries.
            copy = self._registry.fetch(registered, folder / registered.tags["candidate_id"][:_HASH_CHARS])
            self._loaded_copies[model] = (copy.name, registered.tags[ARTIFACT_HASH])
        except RegistryUnavailableError:
            last = read_last_served(folder)
            found = last.whole_copy(folder, model, release) if last else None
            if last is None or found is None:
                raise
            copy = found
            self._loaded_copies[model] = (last.copy, last.content_hash)
        return copy

    def index(self, release: Release, *, texts: bool = False, pictures: bool = False) -> Index | None:
        return _open_index(self._index, release, self.serving.engine, texts=texts, pictures=pictures)

    def catalogs(self, opened: Sequence[ReleasedCatalog] = ()) -> list[ReleasedCatalog]:
        from inference.retrieval.released_catalog import kept_catalogs

        return kept_catalogs(self._index, opened)

    @cached_property
    def _registry(self) -> Registry:
        with heavy_imports():
            from aura.registry import Registry

        return Registry(self._tracking, self.profile)

    @cached_property
    def _releases(self) -> Releases:
        return Releases(self._registry)


def _version(model: str, release: Release) -> ModelVersion:
    if model not in release.models:
        raise RegistryError(
            f"{release} has no {model} model",
            hint=f"run `aura nightly`, or `aura models promote {model} VERSION`",
        )
    return ModelVersion(name=model, version=release.models[model])


def _open_index(uri: Path | str, release: Release, engine: str, *, texts: bool, pictures: bool) -> Index | None:
    if release.index is None:
        return None
    with heavy_imports():
        from inference.engines.chosen_text import text_embedder_for_serving
        from inference.retrieval.search import Index, image_embedder_for, no_embedder

    return Index.at(
        uri, release.index,
        partial(text_embedder_for_serving, engine=engine) if texts else no_embedder,
        image_embedder_for if pictures else no_embedder,
    )  # fmt: skip
