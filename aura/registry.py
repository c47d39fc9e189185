"""Model registry on MLflow: versions, their aliases, promotion and rollback.

Three aliases a model: `challenger` (the newest candidate), `champion` (serves), `previous` (served before). A candidate is
known by its `candidate_id` (hash of everything that went into it), so the same candidate is never registered twice.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from aura.artifact import replace_dir
from aura.errors import RegistryError
from aura.tracking import TrackingSettings, experiment_id, run_is_active, tracking_uri

CHAMPION, CHALLENGER, PREVIOUS = "champion", "challenger", "previous"
_ARTIFACT_PATH = "model"
_ANSWER_SECONDS = 10.0


@dataclass(frozen=True, kw_only=True)
class ModelVersion:
    """One registered version.

    Attributes:
        tags: lineage and verdict; `candidate_id`, `settled`, `verdict`, `reasons`, hashes.
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
        # Artifacts are a few files; a bar for each fetch would be most of what a night says.
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        self.uri = tracking_uri(settings)
        self._settings = settings
        self._namespace = settings.prefix(profile)
        self._client = MlflowClient(self.uri)

    def name(self, model: str) -> str:
        """Registered name of a model, for example `sample.detection`."""
        return f"{self._namespace}.{model}"

    def versions(self, model: str) -> list[ModelVersion]:
        """All versions, newest first; empty for a model that was never registered."""
        with self._reachable():
            found = list(self._client.search_model_versions(f"name='{self.name(model)}'"))
            aliases = self._aliases(model)
        found.sort(key=lambda one: int(one.version), reverse=True)
        return [self._as_version(model, one, aliases) for one in found]

    def version(self, model: str, version: str) -> ModelVersion:
        """One version by number.

        Raises:
            RegistryError: names the versions that exist.
        """
        known = self.versions(model)
        for one in known:
            if one.version == str(version):
                return one
        raise RegistryError(
            f"{self.name(model)} has no version {version}; it has: {', '.join(one.version for one in known) or 'none'}",
            hint="see `aura models list`",
        )

    def at(self, model: str, alias: str) -> ModelVersion | None:
        """Version that an alias points to, or None."""
        return next((one for one in self.versions(model) if alias in one.aliases), None)

    def find(self, model: str, candidate_id: str) -> ModelVersion | None:
        """Version registered for a candidate, or None."""
        return next((one for one in self.versions(model) if one.tags.get("candidate_id") == candidate_id), None)

    def register(
        self,
        model: str,
        artifact: Path,
        *,
        run_id: str | None,
        tags: Mapping[str, str],
        attachments: Path | None = None,
    ) -> ModelVersion:
        """Log the artifact and its attachments (lineage files) to its run and make it a version.

        A call that was cut off can be repeated: the log is overwritten, the version is made last and with its tags.
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
                self._client.create_registered_model(self.name(model))
            made = self._client.create_model_version(self.name(model), source=source, run_id=run_id, tags=dict(tags))
        return self.version(model, str(made.version))

    def tag(self, version: ModelVersion, tags: Mapping[str, str]) -> None:
        with self._reachable():
            for key, value in tags.items():
                self._client.set_model_version_tag(self.name(version.model), version.version, key, value)

    def set_alias(self, model: str, alias: str, version: str) -> None:
        with self._reachable():
            self._client.set_registered_model_alias(self.name(model), alias, version)

    def promote(self, model: str, version: str) -> None:
        """Make a version the champion; the one before becomes `previous`. Repeating it changes nothing.

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
        # The champion first: cut off in between, both aliases name it, and nothing that serves is wrong.
        self.set_alias(model, CHAMPION, previous.version)
        if champion is not None:
            self.set_alias(model, PREVIOUS, champion.version)
        return previous

    def download(self, version: ModelVersion, target: Path) -> Path:
        """Copy a version's artifact to `target`, in one rename."""
        from mlflow.artifacts import download_artifacts

        target.parent.mkdir(parents=True, exist_ok=True)
        with self._reachable(), tempfile.TemporaryDirectory(dir=target.parent, prefix=".download-") as folder:
            got = download_artifacts(
                artifact_uri=f"runs:/{version.run_id}/{_ARTIFACT_PATH}", dst_path=folder, tracking_uri=self.uri
            )
            replace_dir(Path(got), target)
        return target

    def _new_run(self, model: str) -> str:
        experiment = experiment_id(self._client, self._settings, f"{self._namespace}/{model}")
        return str(self._client.create_run(experiment, run_name=f"{model}-import").info.run_id)

    def _aliases(self, model: str) -> dict[str, list[str]]:
        """Version number to aliases; searching versions does not return them."""
        found = self._client.search_registered_models(f"name='{self.name(model)}'")
        grouped: dict[str, list[str]] = {}
        for alias, version in (found[0].aliases if found else {}).items():
            grouped.setdefault(str(version), []).append(alias)
        return grouped

    @staticmethod
    def _as_version(model: str, found: Any, aliases: Mapping[str, list[str]]) -> ModelVersion:
        return ModelVersion(
            model=model, version=str(found.version), run_id=found.run_id, tags=dict(found.tags),
            created=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC).isoformat(timespec="seconds"),
            aliases=sorted(aliases.get(str(found.version), [])),
        )  # fmt: skip

    @contextmanager
    def _reachable(self) -> Iterator[None]:
        hint = "check that the server runs and that tracking.uri is right"
        if self.uri.startswith(("http://", "https://")):
            # MLflow itself tries for four minutes a call, and a night makes a dozen of them before it can report. Whose
            # certificate it is, and what is answered, is for MLflow's own client and its settings to judge.
            try:
                httpx.head(self.uri, timeout=_ANSWER_SECONDS, verify=False)
            except (httpx.ConnectError, httpx.TimeoutException, httpx.InvalidURL) as error:
                raise RegistryError(f"no MLflow server answers at {self.uri}: {error}", hint=hint) from error
            except httpx.TransportError:
                pass  # somebody is there, and does not like such a question
        try:
            yield
        except MlflowException as error:
            raise RegistryError(f"the MLflow registry at {self.uri} answered: {error.message}", hint=hint) from error
