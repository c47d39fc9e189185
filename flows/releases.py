"""Make a release of what the champions' aliases and the index name, and go back to an earlier one.

Everything here can be repeated: the release is written last, and what a kill left undone the next call does.
"""

from __future__ import annotations

from pathlib import Path

from aura.errors import RegistryError
from aura.registry import Registry
from aura.releases import IndexVersion, Release, Releases
from flows.embedded_catalog import embed_catalog
from inference.retrieval.releases import connect_existing, kept_release, rollback, served_index


def make_release(registry: Registry, index: Path | str, reason: str, device: str = "cpu") -> Release:
    """Serve what the aliases and the index at `index` name now, unless it serves already; returns what serves.

    Args:
        device: what the catalog is embedded on, if it was not before: services switch when that is done.
    """
    embed_catalog(registry, index, device)
    return Releases(registry).make(lambda: served_index(index), reason)


def go_back(registry: Registry, index: Path | str, number: int | None = None, device: str = "cpu") -> Release:
    """Serve what an earlier release named, under a new number; the aliases and the index move first.

    Everything is checked before anything moves: the files of each version, and that the index keeps its release.

    Args:
        number: the release to go back to; None: what served before the one that serves. Going back twice undoes it.
        device: as in `make_release`.

    Raises:
        RegistryError: there is no such release, or it lacks a model that serves now.
        DamagedArtifactError: the files of a version are not those that were registered.
        IndexNotReadyError: the index no longer keeps its release, or it is damaged.
    """
    releases = Releases(registry)
    serving = releases.serving()
    target = releases.get(number if number is not None else _replaced(serving))
    _refuse_smaller(target, registry.champions(), served_index(index))
    versions = [registry.version(model, version) for model, version in target.models.items()]
    for version in versions:
        registry.verify(version)
    if target.index is not None and target.index != served_index(index):
        kept_release(connect_existing(str(index)), target.index)
        rollback(index)
    for version in versions:
        registry.promote(version.model, version.version)
    return make_release(registry, index, f"back to release {target.number}", device)


def _replaced(serving: Release | None) -> int:
    if serving is None or serving.replaced is None:
        raise RegistryError(
            "there is no release before the one that serves", hint="see `aura releases list`, or promote a version"
        )
    return serving.replaced


def _refuse_smaller(target: Release, champions: dict[str, str], index: IndexVersion | None) -> None:
    """A release from the first days of a home may lack what serves now, and services would end."""
    missing = sorted(set(champions) - set(target.models)) + (["index"] if index and not target.index else [])
    if missing:
        raise RegistryError(
            f"release {target.number} has no {', '.join(missing)}, which serves now",
            hint="name a later one of `aura releases list`",
        )
