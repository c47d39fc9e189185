"""Recorded nights: one commit and one tag per night in the working copy, and how to restore one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from aura.errors import DataError
from aura.scratch import scratch_folder
from flows.recorded_files import differing, set_damaged_aside
from flows.run_lock import RunLock
from flows.workspace import Workspace

_TRACKED = (".dvc/config", ".dvcignore", ".gitignore", "dvc.lock", "dvc.yaml", "metrics", "params.yaml")


@dataclass(frozen=True, kw_only=True)
class Night:
    """A recorded night; `data` holds the first digits of each data folder's hash in `dvc.lock`."""

    tag: str
    recorded: str
    data: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def night_tag(moment: datetime) -> str:
    """Name of the night that began at a moment with a time zone; in UTC, as the schedule: summer time repeats no name."""
    return f"night-{moment.astimezone(UTC):%Y%m%d-%H%M%S}"


def record(workspace: Workspace, tag: str) -> str:
    """Push the snapshots, then commit and tag the working copy; returns the tag that holds this state.

    A night that changed nothing makes no commit: the tag of the existing state is returned.
    """
    for name in _TRACKED:
        if (workspace.folder / name).exists():
            workspace.git("add", "--force", "--", name)
    if workspace.git("status", "--porcelain", "--untracked-files=no").strip():
        workspace.dvc("push", "--quiet")
        workspace.git("commit", "--quiet", "--message", tag)
        workspace.git("tag", "--force", tag)
        return tag
    known = workspace.git("tag", "--points-at", "HEAD").split()
    if not known:  # killed between the commit and its tag
        workspace.dvc("push", "--quiet")
        workspace.git("tag", tag)
        return tag
    return known[-1]


def nights(workspace: Workspace) -> list[Night]:
    """Recorded nights, newest first."""
    found = []
    for tag in tags(workspace):
        lock = yaml.safe_load(workspace.git("show", f"{tag}:dvc.lock"))
        outs = lock["stages"].get("prepare", {}).get("outs", [])
        when = workspace.git("log", "-1", "--format=%cI", tag).strip()
        found.append(Night(tag=tag, recorded=when, data={Path(out["path"]).name: out["md5"][:8] for out in outs}))
    return found


def tags(workspace: Workspace) -> list[str]:
    """Tags of the recorded nights, newest first."""
    if not (workspace.folder / ".git").is_dir():
        return []
    return workspace.git("tag", "--list", "night-*", "--sort=-refname").split()


def restore(workspace: Workspace, tag: str, target: Path) -> Path:
    """Bring the data, models and metrics of a night back into a new folder.

    Raises:
        DataError: the night is unknown, the folder exists, or its snapshots are gone from cache and remote.
    """
    known = [night.tag for night in nights(workspace)]
    if tag not in known:
        raise DataError(
            f"no night {tag!r}; recorded: {', '.join(known[:10]) or 'none'}",
            hint="see `aura data nights`; night.keep_nights says how many stay",
        )
    if target.exists():
        raise DataError(f"{target} exists already", hint="name a folder that does not exist yet")
    # The person chose the folder: what has our name there but not our lock may be theirs.
    with scratch_folder(target.resolve().parent, ".aura-restore-", marked_only=True) as scratch:
        clone = scratch / "night"
        workspace.git("clone", "--quiet", "--branch", tag, str(workspace.folder), str(clone))
        workspace.use_stores(clone)
        try:
            _pull(workspace, clone)
        except DataError as error:
            raise DataError(
                f"{tag} cannot be restored: {error.message}",
                hint="bring the DVC cache and remote back from a backup, or restore another night (`aura data nights`)",
            ) from error
        clone.rename(target)
        workspace.use_stores(target)  # places within the home are relative
    return target


def _pull(workspace: Workspace, clone: Path) -> None:
    """Fill a clone with what its `dvc.lock` records; what is damaged in the cache is taken from the remote.

    Raises:
        DataError: files are in neither, or are not what was recorded.
    """
    cache = workspace.paths.home / "dvc" / "cache"
    for _ in range(2):  # a folder's list may have to come from the remote before its files can be checked
        set_damaged_aside(clone, cache)
        # `--allow-missing`: all missing files are told below, not the first one.
        workspace.dvc("--cd", str(clone), "pull", "--quiet", "--allow-missing", "--force")
        wrong = differing(clone, cache)
        for file in wrong:
            if not file.is_list:
                (clone / file.path).unlink(missing_ok=True)
        if not wrong:
            return
    told = ", ".join(file.path for file in wrong[:5])
    raise DataError(f"{len(wrong)} of its files are not what was recorded: {told}")


def forget(workspace: Workspace, forgotten: Sequence[str]) -> None:
    """Take nights out of the list of those that can be restored; `collect_garbage` frees their space."""
    if forgotten:
        workspace.git("tag", "--delete", *forgotten)


def collect_garbage(workspace: Workspace) -> None:
    """Remove data and models that no recorded night, branch or experiment of any profile needs.

    With the remote of this home, which lies on the same disk, the cache shrinks to what the working copies hold now. A remote
    that somebody configured may have other users: nothing is removed there, and the cache keeps the recorded nights.
    """
    others = [
        config.parent.parent
        for config in sorted(workspace.folder.parent.glob("*/.dvc/config"))
        if config.parent.parent != workspace.folder
    ]
    if any(RunLock(other, other.name).holder() is not None for other in others):
        return  # what it has saved in the last moments may not be recorded yet; the next night removes the rest
    options = ["--workspace", "--all-branches", "--all-experiments", "--force", "--quiet"]
    options += ["--projects", *map(str, others)] if others else []
    if workspace.profile.night.remote:
        workspace.dvc("gc", "--all-tags", *options)
        return
    workspace.dvc("gc", "--all-tags", "--cloud", *options)
    if any(_stores(other) != _stores(workspace.folder) for other in others):
        return  # that profile's recorded nights may be in the cache alone
    workspace.dvc("push", "--quiet", "--all-tags")  # what the cache alone has must not be lost
    workspace.dvc("gc", *options)


def _stores(folder: Path) -> str:
    """Where a working copy has its cache and remote: the same text for two of one home that share both."""
    config = folder / ".dvc" / "config.local"
    return config.read_text(encoding="utf-8") if config.is_file() else ""
