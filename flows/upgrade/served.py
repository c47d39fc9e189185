"""What serves: the releases in the registry, and the index. Both are made again rather than changed, so an older one stays."""

from __future__ import annotations

from aura.errors import IndexNotReadyError
from aura.registry import Registry
from aura.releases import Releases
from aura.tracking import TrackingSettings, store_exists
from flows.upgrade.store import Standing, Store
from inference.retrieval.releases import (
    connect_existing,
    missing_columns,
    served_index,
    serving_release,
    unknown_columns,
)


class ReleaseList(Store):
    """The releases that services follow; a home from before there were releases has champions alone.

    Args:
        database: of MLflow, in which they are.
        index: folder or URI of the profile's index.
    """

    name = "releases"

    def __init__(self, settings: TrackingSettings, database: Store, profile: str, index: str) -> None:
        self._settings, self._database, self._profile, self._index = settings, database, profile, index

    def look(self) -> Standing:
        if not self._settings.enabled or not store_exists(self._settings):
            return Standing(stands="none yet", wanted="")
        mlflow = self._database.look()
        if mlflow.steps or mlflow.refusal:  # MLflow changes an older database when it opens it
            return Standing(stands="after mlflow", wanted="")
        registry = Registry(self._settings, self._profile)
        if (serving := Releases(registry).serving()) is not None:
            return Standing(stands=f"release {serving.number}", wanted="")
        if champions := registry.champions():
            named = ", ".join(f"{model} {version}" for model, version in sorted(champions.items()))
            return Standing(stands="champions only", wanted="a release", steps=(f"a release of {named}",))
        return Standing(stands="none yet", wanted="")

    def migrate(self) -> None:
        """Make the release that services would make at their start."""
        registry = Registry(self._settings, self._profile)
        Releases(registry).make(lambda: served_index(self._index), "what the champions' aliases and the index named")


class ServedIndex(Store):
    """The index of a profile.

    Args:
        uri: its folder, or where it lies in an object store.
        profile: as a person names it.
    """

    name = "index"

    def __init__(self, uri: str, profile: str) -> None:
        self._uri, self._profile = uri, profile

    def look(self) -> Standing:
        try:
            connection = connect_existing(self._uri)
        except IndexNotReadyError:
            return Standing(stands="none yet", wanted="")
        if unknown := unknown_columns(connection):
            return Standing(
                stands="newer", wanted="",
                refusal=f"a newer Aura has made the index at {self._uri} (column {', '.join(unknown)}): start that one, or "
                "restore a backup from before its upgrade",
            )  # fmt: skip
        try:
            release = serving_release(connection)
        except IndexNotReadyError:
            return Standing(stands="none yet", wanted="")
        stands = f"release {release.number}"
        if missing := missing_columns(connection, release):
            return Standing(
                stands=stands, wanted=f"with {', '.join(missing)}",
                advice=f"the index is of an older Aura: `aura index build --profile {self._profile}`, or the next night",
            )  # fmt: skip
        return Standing(stands=stands, wanted="")
