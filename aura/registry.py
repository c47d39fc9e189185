"""Model registry on MLflow: versions, their aliases, promotion and rollback.

Three aliases per model: `challenger` (the newest candidate), `champion` (serves), `previous` (served before). A candidate is
known by its `candidate_id` (hash of everything that went into it), so the same candidate is never registered twice. A version
also records the hash of its files, and a copy with another hash is never handed out.
"""

from __future__ import annotations

import errno
import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from requests import RequestException

from aura.artifact import content_hash, replace_dir
from aura.errors import DamagedArtifactError, RegistryError
from aura.mlflow_errors import opening, reachable, require_database
from aura.scratch import scratch_folder
from aura.tracking import TrackingSettings, experiment_id, run_is_active, store_address, tracking_uri
from aura.version_page import VersionPage, publish

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
ARTIFACT_HASH = "artifact_hash"
"""Tag of a version: hash of the files that were registered, and that every copy of it must have."""
FILES_REMOVED = "files_removed"
"""Tag of a version whose files were removed to save space: the day. Its metrics, lineage and verdict stay."""
_ARTIFACT_PATH = "model"
_REMOVABLE = (_ARTIFACT_PATH, "pictures")
_ALIASES = "`champion` serves, `previous` served before it, `challenger` is the newest candidate."
_DAMAGED = (
    "roll back or promote another version (`aura models list`), or delete this one on MLflow's page: the next night then "
    "registers its candidate again"
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One registered version.

    Attributes:
        tags: lineage and verdict; `candidate_id`, `judged`, `verdict`, `reasons`, hashes.
        aliases: names that point here at the time of reading.
    """

    model: str
    version: str
    run_id: str
    created: str
    tags: dict[str, str]
    aliases: list[str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Registry:
    """Registry of one profile's models."""

    def __init__(self, settings: TrackingSettings, profile: str) -> None:
        if not settings.enabled:
            raise RegistryError(
                "tracking is off, so there is no registry",
                hint="set tracking.enabled=true to register and promote models",
            )
        # Artifacts are a few files; a progress bar per fetch would fill a night's log.
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # Only what does not pass by itself is told here; a server may be away for a moment.
        with opening(store_address(settings)):
            require_database(store_address(settings))
            self.uri = tracking_uri(settings)
            # One store for both, whatever MLFLOW_REGISTRY_URI says: versions point to runs.
            self._client = MlflowClient(self.uri, registry_uri=self.uri)
        self._settings = settings
        self._namespace = settings.prefix(profile)

    def name(self, model: str) -> str:
        """Registered name of a model, for example `sample.detection`."""
        return f"{self._namespace}.{model}"

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions, newest first; empty for a model that was never registered."""
        with self._reachable():
            found = list(self._client.search_model_versions(f"name='{self.name(model)}'"))
        aliases = self._grouped_aliases(model)
        found.sort(key=lambda version: int(version.version), reverse=True)
        return [self._as_version(model, version, aliases) for version in found]

    def version(self, model: str, version: str) -> ModelVersion:
        """One version by number.

        Raises:
            RegistryError: names the versions that exist.
        """
        known = self.versions(model)
        for registered in known:
            if registered.version == str(version):
                return registered
        existing = ", ".join(registered.version for registered in known)
        raise RegistryError(
            f"{self.name(model)} has no version {version}; it has: {existing or 'none'}",
            hint="see `aura models list`",
        )

    def aliases(self, model: str) -> dict[str, str]:
        """Alias to version number; empty for a model that was never registered. One query."""
        with self._reachable():
            found = self._client.search_registered_models(f"name='{self.name(model)}'")
        return {alias: str(version) for alias, version in found[0].aliases.items()} if found else {}

    def champions(self) -> dict[str, str]:
        """Model to the version number of its champion, as they all are at one moment."""
        beginning = self.name("")
        with self._reachable():
            found = self._client.search_registered_models(f"name LIKE '{beginning}%'")
        # LIKE takes more than it says: `_` is any letter, and another profile may be called `sample.summer`.
        models = {
            entry.name.removeprefix(beginning): entry.aliases for entry in found if entry.name.startswith(beginning)
        }
        return {
            model: str(aliases[CHAMPION])
            for model, aliases in sorted(models.items())
            if "." not in model and CHAMPION in aliases
        }

    def at(self, model: str, alias: str) -> ModelVersion | None:
        """Version that an alias points to, or None."""
        return next((version for version in self.versions(model) if alias in version.aliases), None)

    def find(self, model: str, candidate_id: str) -> ModelVersion | None:
        """Version registered for a candidate, or None."""
        return next(
            (version for version in self.versions(model) if version.tags.get("candidate_id") == candidate_id), None
        )

    def register(
        self,
        model: str,
        artifact: Path,
        *,
        run_id: str | None,
        tags: Mapping[str, str],
        attachments: Path | None = None,
    ) -> ModelVersion:
        """Log the artifact and its attachments (lineage files) to its run and create a version.

        An interrupted call can be repeated: the files are overwritten, and the version is created last, with its tags.
        """
        existing = self.find(model, tags["candidate_id"])
        if existing is not None:
            return existing
        with self._reachable():
            run_id = run_id if run_id and run_is_active(self._client, run_id) else self._new_run(model)
            self._client.log_artifacts(run_id, str(artifact), _ARTIFACT_PATH)
            if attachments is not None:
                self._client.log_artifacts(run_id, str(attachments), "lineage")
            source = f"{self._client.get_run(run_id).info.artifact_uri}/{_ARTIFACT_PATH}"
            if not self._client.search_registered_models(f"name='{self.name(model)}'"):
                self._client.create_registered_model(self.name(model), description=_ALIASES)
            made = self._client.create_model_version(
                self.name(model), source=source, run_id=run_id, tags={**tags, ARTIFACT_HASH: content_hash(artifact)}
            )
        return self.version(model, str(made.version))

    def add_record(self, model: str, tags: Mapping[str, str], *, source: str, about: str, says: str) -> str:
        """Create a version without files; returns its number.

        Args:
            source: what MLflow shows in place of an address of files.
            about: description of the registered model, made with its first version.
            says: description of the version.
        """
        with self._reachable():
            if not self._client.search_registered_models(f"name='{self.name(model)}'"):
                self._client.create_registered_model(self.name(model), description=about)
            made = self._client.create_model_version(self.name(model), source=source, tags=dict(tags), description=says)
        return str(made.version)

    def tag(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        with self._reachable():
            for key, value in tags.items():
                self._client.set_model_version_tag(self.name(version.model), version.version, key, value)

    def publish(self, version: ModelVersion, page: VersionPage) -> None:
        """Write what MLflow's pages show of a version; it can be repeated."""
        with self._reachable():
            publish(self._client, self._client.get_model_version(self.name(version.model), version.version), page)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        with self._reachable():
            self._client.set_registered_model_alias(self.name(model), alias, version)

    def promote(self, model: str, version: str) -> None:
        """Make a version the champion; the champion before it becomes `previous`. Repeating it changes nothing.

        Raises:
            RegistryError: no such version.
        """
        self.version(model, version)
        champion = self.at(model, CHAMPION)
        if champion is not None and champion.version == str(version):
            return
        if champion is not None:
            self.set_alias(model, PREVIOUS, champion.version)
        self.set_alias(model, CHAMPION, str(version))

    def rollback(self, model: str) -> ModelVersion:
        """Swap `champion` and `previous`; returns the new champion.

        Raises:
            RegistryError: there is no previous version.
        """
        previous = self.at(model, PREVIOUS)
        if previous is None:
            raise RegistryError(
                f"{self.name(model)} has no previous champion",
                hint="promote a version: `aura models promote MODEL VERSION`",
            )
        champion = self.at(model, CHAMPION)
        # The champion first: after a kill in between both aliases name it, and the right version serves.
        self.set_alias(model, CHAMPION, previous.version)
        if champion is not None:
            self.set_alias(model, PREVIOUS, champion.version)
        return previous

    def fetch(self, version: ModelVersion, target: Path) -> Path:
        """Make `target` a whole copy of a version's artifact; one that is there already and whole is kept."""
        version = self.with_hash(version)
        if target.is_dir() and content_hash(target) == version.tags[ARTIFACT_HASH]:
            return target
        return self.download(version, target)

    def with_hash(self, version: ModelVersion) -> ModelVersion:
        """The version with the hash of its files as a tag.

        One that was registered before versions had a hash is trusted once: it gets the hash of what the store has now.
        """
        if version.tags.get(ARTIFACT_HASH):
            return version
        with tempfile.TemporaryDirectory(prefix="aura-hash-") as folder:
            found = content_hash(self._copy(version, Path(folder)))
        logger.warning(
            "version %s of %s had no hash of its files; it has now that of what the store holds: %s",
            version.version, self.name(version.model), found[:12],
        )  # fmt: skip
        self.tag(version, {ARTIFACT_HASH: found})
        return replace(version, tags={**version.tags, ARTIFACT_HASH: found})

    def download(self, version: ModelVersion, target: Path) -> Path:
        """Copy a version's artifact from the store to `target`, in one rename.

        Raises:
            DamagedArtifactError: the store's files are not those that were registered. `target` stays as it was.
        """
        version = self.with_hash(version)
        expected = version.tags[ARTIFACT_HASH]
        with scratch_folder(target.parent, ".download-") as folder:
            copy = self._copy(version, folder)
            found = content_hash(copy)
            if found != expected:
                raise self._damaged(
                    version,
                    f"the files of version {version.version} of {self.name(version.model)} in the store are not those that "
                    f"were registered (hash {found[:12]}, registered {expected[:12]})",
                )
            replace_dir(copy, target)
        return target

    def _copy(self, version: ModelVersion, folder: Path) -> Path:
        """What the store has of a version's files, unchecked, in a folder below `folder`."""
        with self._reachable():
            try:
                # Not `runs:/...`: behind that address MLflow calls whatever goes wrong a path that does not exist.
                uri = f"{self._client.get_run(version.run_id).info.artifact_uri}/{_ARTIFACT_PATH}"
                return Path(download_artifacts(artifact_uri=uri, dst_path=str(folder), tracking_uri=self.uri))
            except (MlflowException, OSError) as error:
                if not (_is_missing(error) or FILES_REMOVED in version.tags) and self._lists_files(version):
                    raise
                raise self._damaged(
                    version,
                    f"version {version.version} of {self.name(version.model)} cannot be copied from the store: {error}",
                ) from error

    def _lists_files(self, version: ModelVersion) -> bool:
        """Whether the store lists a file of a version; raises what MLflow does where the store does not answer.

        Of an object store this tells missing files from any other failure of a download, which MLflow calls all alike.
        """
        uri = self._client.get_run(version.run_id).info.artifact_uri
        return bool(get_artifact_repository(uri, tracking_uri=self.uri).list_artifacts(_ARTIFACT_PATH))

    def _damaged(self, version: ModelVersion, what: str) -> DamagedArtifactError:
        if day := version.tags.get(FILES_REMOVED):
            what = (
                f"the files of version {version.version} of {self.name(version.model)} were removed on {day} to save space: "
                "it had no alias, and newer ones of its kind were there"
            )
        return DamagedArtifactError(what, hint=_DAMAGED)

    def verify(self, version: ModelVersion) -> None:
        """Make sure that the store has the files that were registered.

        Raises:
            DamagedArtifactError: it has not.
        """
        with tempfile.TemporaryDirectory(prefix="aura-verify-") as folder:
            self.download(version, Path(folder) / version.model)

    def put_back(self, version: ModelVersion, artifact: Path) -> bool:
        """Write a version's files to the store again if `artifact` is a whole copy of them; returns whether it is."""
        if not artifact.is_dir() or content_hash(artifact) != version.tags.get(ARTIFACT_HASH):
            return False
        with self._reachable():
            if not run_is_active(self._client, version.run_id):  # `mlflow gc` took it, and nothing can be put there
                return False
            self._client.log_artifacts(version.run_id, str(artifact), _ARTIFACT_PATH)
            if FILES_REMOVED in version.tags:
                self._client.delete_model_version_tag(self.name(version.model), version.version, FILES_REMOVED)
        return True

    def mark_files_removed(self, version: ModelVersion) -> None:
        """Say that a version has no files any more; call it before `remove_files`, so that a kill leaves no half version."""
        self.tag(version, {FILES_REMOVED: datetime.now(UTC).date().isoformat()})

    def remove_files(self, version: ModelVersion) -> None:
        """Remove the files and pictures of a version that is marked; can be repeated. Metrics, lineage and tags stay."""
        with self._reachable():
            run = self._client.get_run(version.run_id).info
            repository = get_artifact_repository(run.artifact_uri, tracking_uri=self.uri)
            there = {entry.path for entry in repository.list_artifacts()}
            for path in there.intersection(_REMOVABLE):
                repository.delete_artifacts(path)

    def _new_run(self, model: str) -> str:
        experiment = experiment_id(self._client, self._settings, f"{self._namespace}/{model}")
        run_id = str(self._client.create_run(experiment, run_name=f"{model}-import").info.run_id)
        self._client.set_terminated(run_id)  # it only holds files: on MLflow's page it would be running for ever
        return run_id

    def _grouped_aliases(self, model: str) -> dict[str, list[str]]:
        """Version number to aliases; searching versions does not return them."""
        grouped: dict[str, list[str]] = {}
        for alias, version in self.aliases(model).items():
            grouped.setdefault(version, []).append(alias)
        return grouped

    @staticmethod
    def _as_version(model: str, found: Any, aliases: Mapping[str, list[str]]) -> ModelVersion:
        return ModelVersion(
            model=model, version=str(found.version), run_id=found.run_id, tags=dict(found.tags),
            created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
            aliases=sorted(aliases.get(str(found.version), [])),
        )  # fmt: skip

    def _reachable(self) -> AbstractContextManager[None]:
        return reachable(self.uri)


def _is_missing(error: Exception) -> bool:
    """Whether the store lacks the files; False when the store is unavailable or this machine's disk is full."""
    if isinstance(error, MlflowException):
        return bool(error.error_code == "RESOURCE_DOES_NOT_EXIST")
    if isinstance(error, RequestException):
        return error.response is not None and error.response.status_code == HTTPStatus.NOT_FOUND
    return isinstance(error, OSError) and error.errno in (None, errno.ENOENT, errno.ENOTDIR)
