"""What nights have left that may go, and what must stay: decided here, removed by `flows.retention`.

What must stay: a version with an alias or the tag `keep`, the version that such a one was trained from, the nights that these
and the served releases of the index come from, the nights that kept reports name, and whatever a process uses.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from aura.artifact import read_json
from aura.errors import AuraError, DataError, IndexNotReadyError
from aura.registry import ARTIFACT_HASH, CHAMPION, FILES_REMOVED, PREVIOUS, ModelVersion
from aura.settings import read_resolved
from flows.bento_contents import PINNED
from flows.package import bento_folder
from flows.profile import NightSettings
from flows.promotion import JUDGED
from flows.report import RESULT
from flows.services import SERVICES
from flows.snapshots import tags
from flows.workspace import Workspace
from inference.retrieval.releases import connect_existing, read_releases
from training.models import MODELS

KEEP = "keep"
"""Tag by which a person keeps a version and what it needs: `keep` with any value, set on MLflow's page."""
CANDIDATE_CHARS = 16
"""First characters of a candidate's id, which name its folder of checkpoints and its copy for serving."""
_ABANDONED_SECONDS = 24 * 3600.0
"""Age from which a temporary folder belongs to a process that was killed."""


def needed_versions(versions: Sequence[ModelVersion]) -> list[ModelVersion]:
    """Versions of one model that must keep their files."""
    named = [
        version
        for version in versions
        if version.aliases or version.tags.get(KEEP) or version.tags.get(JUDGED) != "true"
    ]
    bases = {version.tags["base"] for version in named if version.tags.get("base")}
    return [version for version in versions if version in named or version.tags.get(ARTIFACT_HASH) in bases]


def removable_versions(versions: Sequence[ModelVersion], settings: NightSettings) -> list[ModelVersion]:
    """Versions of one model, newest first as they are given, whose files may go: those never promoted go first."""
    needed = needed_versions(versions)
    runs = {version.run_id for version in needed}
    rest = [
        version
        for version in versions
        if version not in needed and version.run_id not in runs and FILES_REMOVED not in version.tags
    ]
    rejected = [version for version in rest if version.tags.get("verdict") != "promoted"]
    champions = [version for version in rest if version.tags.get("verdict") == "promoted"]
    return rejected[settings.keep_rejected :] + champions[settings.keep_champions :]


def removable_reports(reports: Path, keep: int) -> list[Path]:
    """Folders of nights' reports beyond the newest."""
    return sorted(reports.glob("night-*/"), reverse=True)[keep:]


def removable_nights(workspace: Workspace, kept: Collection[ModelVersion], keep: int) -> list[str]:
    """Tags of recorded nights that nothing needs.

    Args:
        kept: versions of all models whose files stay.
    """
    recorded = tags(workspace)
    if len(recorded) <= keep:
        return []
    needed = set(recorded[:keep]) | _named_by_reports(workspace.paths.reports, keep)
    wanted: set[object] = {(version.model, version.tags.get("candidate_id")) for version in kept}
    wanted |= {("index", number) for number in _releases(workspace.index)}
    for tag in reversed(recorded):  # the oldest first: it made them, and holds the data that they were made from
        made = {
            (model, _recorded(workspace, tag, f"metrics/test/{model}.json").get("candidate_id")) for model in MODELS
        } | {("index", _recorded(workspace, tag, "metrics/index.json").get("version"))}
        if made & wanted:
            needed.add(tag)
            wanted -= made
    return [tag for tag in recorded if tag not in needed]


def _named_by_reports(reports: Path, keep: int) -> set[str]:
    named = set()
    for folder in set(reports.glob("night-*/")) - set(removable_reports(reports, keep)):
        with suppress(AuraError):  # a night that could not write its report
            named.add(str(read_json(folder / RESULT, "the result of a night").get("snapshot", "")))
    return named


def _releases(index: str) -> list[int]:
    """Numbers of the served release of the index and of the one before."""
    try:
        connection = connect_existing(index)
    except IndexNotReadyError:
        return []
    return [release.number for release in read_releases(connection).values()]


def _recorded(workspace: Workspace, tag: str, file: str) -> dict[str, Any]:
    """A JSON file of a recorded night; empty when the night has no such file."""
    try:
        values = json.loads(workspace.git("show", f"{tag}:{file}"))
    except (DataError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


@dataclass(frozen=True, kw_only=True)
class _Bento:
    tag: str
    profile: str
    """Empty for one without settings: a copy that was cut off."""
    built: float


def removable_bentos(profile: str, home: Path, keep: int) -> list[str]:
    """Tags of Bentos of a profile beyond the newest of each service, which nobody serves and no night has packed last."""
    packed = {
        bento["tag"]
        for record in home.glob("pipelines/*/metrics/package.json")
        for bento in read_json(record, "the package record")["bentos"].values()
    }
    running = [argument for process in psutil.process_iter(["cmdline"]) for argument in process.info["cmdline"] or ()]
    gone: list[str] = []
    for service in SERVICES:
        found = sorted(_bentos(service), key=lambda bento: bento.built, reverse=True)
        abandoned = [bento for bento in found if not bento.profile and time.time() - bento.built > _ABANDONED_SECONDS]
        gone += [bento.tag for bento in [bento for bento in found if bento.profile == profile][keep:] + abandoned]
    return [
        tag
        for tag in gone
        if tag not in packed and not any(tag in argument or str(bento_folder(tag)) in argument for argument in running)
    ]


def _bentos(service: str) -> Iterator[_Bento]:
    for folder in bento_folder(f"{service}:x").parent.glob("*/"):
        try:
            profile = str(read_resolved(folder / "src" / PINNED / "params.yaml")["profile"])
        except (AuraError, KeyError):
            profile = ""
        yield _Bento(tag=f"{service}:{folder.name}", profile=profile, built=folder.stat().st_mtime)


def removable_copies(copies: Path, versions: Collection[ModelVersion]) -> list[Path]:
    """Copies from which services of this checkout answer, except of champions and the newest catalog.

    The caller leaves those that a running service holds.

    Args:
        copies: folder of a profile's copies.
        versions: all versions of all models.
    """
    serving = {
        version.tags.get("candidate_id", "")[:CANDIDATE_CHARS]
        for version in versions
        if {CHAMPION, PREVIOUS} & set(version.aliases)
    }
    models = [folder for model in MODELS for folder in copies.glob(f"{model}/[!.]*/") if folder.name not in serving]
    catalogs = sorted(copies.glob("catalog-*/"), key=lambda folder: folder.stat().st_mtime, reverse=True)
    cut_off = [*copies.glob("*/.download-*/"), *copies.glob(".catalog-*/")]
    return (
        models
        + catalogs[1:]
        + [folder for folder in cut_off if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS]
    )


def removable_checkpoints(checkpoints: Path, versions: Collection[ModelVersion]) -> list[Path]:
    """Checkpoints of trainings whose model is registered and judged: nothing resumes them. `run.json` beside them stays."""
    judged = {
        (version.model, version.tags.get("candidate_id", "")[:CANDIDATE_CHARS])
        for version in versions
        if version.tags.get(JUDGED) == "true"
    }
    return [
        file
        for model, candidate in sorted(judged)
        for file in sorted((checkpoints / model / candidate).glob("*.ckpt*"))
        if candidate
    ]
