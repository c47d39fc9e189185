"""The end of a night: remove what nothing needs any more, by the policy of `night.keep_*` in `flows.retention_policy`.

Whatever is removed is first marked, so that nobody takes a part of it for the whole: a night by its missing tag, a version by the
tag `files_removed`, a Bento by its missing mark, a folder by another name. The journal, written before the first mark, names
everything; after a kill the next removal finishes what is marked and decides anew about the rest.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError, DiskFullError
from aura.in_use import finish_removal, remove_unless_in_use
from aura.registry import FILES_REMOVED, ModelVersion, Registry
from flows.package import bento_whole, remove_bento
from flows.retention_policy import (
    needed_versions,
    removable_bentos,
    removable_checkpoints,
    removable_copies,
    removable_nights,
    removable_reports,
    removable_versions,
)
from flows.snapshots import collect_garbage, forget
from flows.workspace import Workspace
from training.models import MODELS

JOURNAL = ".removing.json"
_GIGABYTE = 1e9


@dataclass(frozen=True, kw_only=True)
class Removal:
    """What is to go; also the journal.

    Attributes:
        nights: tags of recorded nights.
        versions: model to numbers of versions whose files go.
        bentos: tags in BentoML's store.
        reports, copies, checkpoints: paths relative to the home folder.
    """

    nights: list[str] = field(default_factory=list)
    versions: dict[str, list[str]] = field(default_factory=dict)
    bentos: list[str] = field(default_factory=list)
    reports: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    checkpoints: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(asdict(self).values())

    def summary(self) -> list[str]:
        """One line per kind, for the report."""
        lines = {name: ", ".join(found) for name, found in asdict(self).items() if isinstance(found, list) and found}
        lines |= {
            f"files of {model}": ", ".join(f"v{number}" for number in found) for model, found in self.versions.items()
        }
        return [f"{name}: {found}" for name, found in lines.items()]


def removable(workspace: Workspace, registry: Registry) -> Removal:
    """What the policy lets go now; nothing is touched."""
    settings, paths = workspace.profile.night, workspace.paths
    versions = {model: registry.versions(model) for model in MODELS}
    gone = {model: removable_versions(found, settings) for model, found in versions.items()}
    every = [version for found in versions.values() for version in found]
    kept = [
        version
        for model, found in versions.items()
        for version in found
        if version not in gone[model] and FILES_REMOVED not in version.tags
    ]

    def relative(found: Sequence[Path]) -> list[str]:
        return [path.relative_to(paths.home).as_posix() for path in found]

    return Removal(
        nights=removable_nights(workspace, kept, settings.keep_nights),
        versions={model: [version.version for version in found] for model, found in gone.items() if found},
        bentos=removable_bentos(paths.profile, paths.home, settings.keep_bentos),
        reports=relative(removable_reports(paths.reports, settings.keep_nights)),
        copies=relative(removable_copies(paths.home / "serving" / paths.profile, every)),
        checkpoints=relative(removable_checkpoints(workspace.folder / "checkpoints", every)),
    )


def remove(
    workspace: Workspace, registry: Registry, *, new_snapshot: bool, say: Callable[[str], None] = print
) -> Removal:
    """Remove what the policy lets go, after what a killed removal had begun; returns what is gone.

    Args:
        new_snapshot: whether a night was recorded since the last time, so that the cache holds what the remote has as well.
    """
    journal = workspace.folder / JOURNAL
    left = _read(journal)
    if left:
        say("the removal before was killed; finishing it")
        _finish(left, workspace, registry)
    removal = removable(workspace, registry)
    if removal:
        write_json(journal, asdict(replace(removal, nights=left.nights + removal.nights)))
        _mark(removal, workspace, registry)
        _finish(removal, workspace, registry)
    if removal.nights or left.nights or new_snapshot:
        collect_garbage(workspace)
    journal.unlink(missing_ok=True)
    return replace(removal, copies=[copy for copy in removal.copies if not (workspace.paths.home / copy).exists()])


def _read(journal: Path) -> Removal:
    try:
        values: dict[str, Any] = read_json(journal, "the journal of a removal")
        return Removal(**values)
    except (ArtifactError, TypeError):  # none, or of another version of this code: everything is decided anew
        return Removal()


def _mark(removal: Removal, workspace: Workspace, registry: Registry) -> None:
    forget(workspace, removal.nights)
    for model, numbers in removal.versions.items():
        versions = registry.versions(model)
        needed = {
            version.version for version in needed_versions(versions)
        }  # an operator may have promoted one just now
        for version in versions:
            if version.version in numbers and version.version not in needed:
                registry.mark_files_removed(version)
    for tag in removal.bentos:
        remove_bento(tag)
    for folder in removal.reports + removal.copies:
        remove_unless_in_use(workspace.paths.home / folder)


def _finish(removal: Removal, workspace: Workspace, registry: Registry) -> None:
    """End what was marked."""
    for version in _versions(removal, registry):
        if FILES_REMOVED in version.tags and not version.aliases:
            registry.remove_files(version)
    for tag in removal.bentos:
        if not bento_whole(tag):
            remove_bento(tag)
    for folder in removal.reports + removal.copies:
        finish_removal(workspace.paths.home / folder)
    for file in removal.checkpoints:
        (workspace.paths.home / file).unlink(missing_ok=True)


def _versions(removal: Removal, registry: Registry) -> list[ModelVersion]:
    return [
        version
        for model, numbers in removal.versions.items()
        for version in registry.versions(model)
        if version.version in numbers
    ]


def require_free_space(home: Path, gigabytes: float) -> None:
    """Refuse to begin what would fill the disk.

    Raises:
        DiskFullError: the disk of the home folder has less than that many gigabytes free.
    """
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free / _GIGABYTE
    if free < gigabytes:
        raise DiskFullError(
            f"the disk of {home} has {free:.1f} GB free; a night begins with {gigabytes:g} GB or more",
            hint="free some space: `aura tidy` removes what nothing needs, night.keep_nights and its like say how much stays; "
            "or lower night.free_space_gb",
        )
