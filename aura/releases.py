"""Releases: what serves together, one version of each model and one release of the index, under one number.

A release is a version of the registered model `<namespace>.release` in the registry, so that services on every machine read it
where they read the models; it has no files, and its tags never change. The alias `serving` moves last, in one row: that is the
moment at which a release is made. The aliases of the models move one after the other before it. A kill in between leaves them
ahead: services go on answering from the release, and the next call makes one of what the aliases name.

Nothing here imports MLflow: a service that knows its release from a file needs no registry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from aura.errors import BusyError, RegistryError
from aura.paths import home

if TYPE_CHECKING:
    from aura.registry import Registry

MODEL = "release"
"""Name of the registered model, behind the namespace."""
SERVING = "serving"
_LOCK_WAIT_S = 60.0
_SOURCE = "aura-release:/none"
"""MLflow asks where the files of a version lie; its server wants a path in it. A release has none: this is no store's address."""
_ABOUT = (
    "What serves together: a version of each model and a release of the index. `serving` is what services answer from."
)


@dataclass(frozen=True, kw_only=True)
class IndexVersion:
    """A release of the index: its number, and the hash of its rows (empty in one from before there were hashes).

    An index that was deleted and built again begins to count anew; the hash tells the two apart.
    """

    number: int
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Release:
    """What serves together; none of it changes once it is made.

    Attributes:
        number: counts up from 1; 0 for one that no registry knows.
        models: model to its version; a model without a champion is missing.
        replaced: number of the release that served before; None for the first.
    """

    number: int
    models: Mapping[str, str] = field(default_factory=dict)
    index: IndexVersion | None = None
    reason: str = ""
    created: str = ""
    replaced: int | None = None

    def names(self, models: Mapping[str, str], index: IndexVersion | None) -> bool:
        """Whether it is made of exactly these."""
        return dict(self.models) == dict(models) and self.index == index

    def __str__(self) -> str:
        return f"release {self.number} ({_said(self.models, self.index) or 'nothing'})"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Release:
        """The release that `as_dict` described."""
        index = values["index"] and IndexVersion(**values["index"])
        return cls(**{**values, "index": index})


class Releases:
    """The releases of one profile."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._name = registry.name(MODEL)
        self._known: dict[str, Release] = {}

    def serving(self) -> Release | None:
        """The release that services answer from; None in a home from before there were releases.

        Takes one query while it stays the same.

        Raises:
            RegistryUnavailableError: the registry does not answer.
        """
        number = self._registry.aliases(MODEL).get(SERVING)
        return None if number is None else self._release(number)

    def get(self, number: int) -> Release:
        """One release by number.

        Raises:
            RegistryError: there is none; names those that exist.
        """
        known = {release.number: release for release in self.all()}
        if number not in known:
            raise RegistryError(
                f"there is no release {number}; there are: {', '.join(map(str, known)) or 'none'}",
                hint="see `aura releases list`",
            )
        return known[number]

    def all(self) -> list[Release]:
        """All releases, newest first."""
        return [
            _as_release(version.version, version.tags, version.created) for version in self._registry.versions(MODEL)
        ]

    def make(self, index: Callable[[], IndexVersion | None], reason: str) -> Release:
        """Make a release of the champions and the index that is served now, unless they serve already; returns what serves.

        Call it when everything else is done. It can be repeated, and finishes what was killed.

        Args:
            index: reads which release of the index is served; None where none is, and the index of the release before stays.

        Raises:
            BusyError: another process has been making one for a minute.
        """
        with self._alone():
            while True:  # a promotion on another machine may have come in between
                before = self.serving()
                models = self._registry.champions()
                served = index() or (before.index if before else None)
                if before is not None and before.names(models, served):
                    return before
                made = self._registry.add_record(
                    MODEL,
                    _as_tags(models, served, reason, before),
                    source=_SOURCE,
                    about=_ABOUT,
                    says=_said(models, served),
                )
                self._registry.set_alias(MODEL, SERVING, made)

    def _release(self, number: str) -> Release:
        if number not in self._known:
            version = self._registry.version(MODEL, number)
            self._known = {number: _as_release(version.version, version.tags, version.created)}
        return self._known[number]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One maker on this machine at a time: steps of a night end side by side."""
        path = home() / "locks" / f"{self._name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path, timeout=_LOCK_WAIT_S):
                yield
        except Timeout as error:
            raise BusyError("another process is making a release", hint="wait until it has ended") from error


def _as_tags(
    models: Mapping[str, str], index: IndexVersion | None, reason: str, before: Release | None
) -> dict[str, str]:
    tags = {f"model.{model}": version for model, version in sorted(models.items())} | {"reason": reason}
    if index is not None:
        tags |= {"index": str(index.number)} | ({"index_digest": index.digest} if index.digest else {})
    if before is not None:
        tags["replaced"] = str(before.number)
    return tags


def _said(models: Mapping[str, str], index: IndexVersion | None) -> str:
    """A release for people, for example `chat 2, detection 5, index 3`."""
    named = [f"{model} {version}" for model, version in sorted(models.items())]
    return ", ".join(named + ([f"index {index.number}"] if index else []))


def _as_release(number: str, tags: Mapping[str, str], created: str) -> Release:
    index = IndexVersion(number=int(tags["index"]), digest=tags.get("index_digest", "")) if "index" in tags else None
    return Release(
        number=int(number), index=index, reason=tags.get("reason", ""), created=created,
        models={key.removeprefix("model."): value for key, value in tags.items() if key.startswith("model.")},
        replaced=int(tags["replaced"]) if "replaced" in tags else None,
    )  # fmt: skip
