"""MLflow's own clean-up: runs of which no version was registered are deleted, and what was deleted long ago is removed for good.

`mlflow gc` looks at nothing but the mark of deletion, and takes the artifacts along. A registered version has its lineage,
metrics and files in its run, so while one of those is marked as deleted nothing is removed, and a person is told.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import ViewType

from aura.errors import RegistryError
from aura.local_mlflow import is_database
from aura.mlflow_errors import reachable
from aura.supervision import watched, watched_environment
from flows.maintenance.settings import MaintenanceSettings
from flows.retention_policy import KEEP

_GC_SECONDS = 600.0


def delete_unregistered(uri: str, prefix: str, settings: MaintenanceSettings, now: datetime) -> int:
    """Mark a profile's old runs without a registered version as deleted; returns how many. They can be restored.

    Args:
        prefix: of the profile's experiments.
    """
    limit_ms = round((now - timedelta(days=settings.keep_runs_days)).timestamp() * 1000)
    with reachable(uri):
        client = MlflowClient(uri, registry_uri=uri)
        needed = _registered_runs(client)
        ours = [
            experiment.experiment_id
            for experiment in _pages(client.search_experiments)
            if experiment.name.startswith(f"{prefix}/")
        ]
        old = _runs(client, ours, ViewType.ACTIVE_ONLY, f"attributes.start_time < {limit_ms}")
        chosen = [run.info.run_id for run in old if run.info.run_id not in needed and not run.data.tags.get(KEEP)]
        for run_id in chosen:
            client.delete_run(run_id)
    return len(chosen)


def remove_deleted(uri: str, settings: MaintenanceSettings) -> str:
    """Let `mlflow gc` remove what was deleted long ago; returns what it did, in a sentence.

    Raises:
        RegistryError: a registered version belongs to a deleted run, or the command failed.
    """
    older_than = f"{settings.keep_deleted_days}d"
    if not is_database(uri):
        return f"deleted runs are for its server to remove: mlflow gc --older-than {older_than}"
    before = _deleted(uri)
    if not before:
        return "nothing is deleted"
    done = subprocess.run(
        watched("mlflow", "gc", "--older-than", older_than, "--backend-store-uri", uri, "--tracking-uri", uri),
        env=watched_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
        timeout=_GC_SECONDS,
    )  # fmt: skip
    if done.returncode:
        raise RegistryError(f"mlflow gc failed on {uri}:\n{(done.stderr or done.stdout).strip()[-1000:]}")
    left = len(_deleted(uri))
    return f"{len(before) - left} deleted runs removed, {left} can be restored for {settings.keep_deleted_days} days"


def _deleted(uri: str) -> list[str]:
    """Runs that are marked as deleted."""
    with reachable(uri):
        client = MlflowClient(uri, registry_uri=uri)
        experiments = [found.experiment_id for found in _pages(client.search_experiments, view_type=ViewType.ALL)]
        deleted = [run.info.run_id for run in _runs(client, experiments, ViewType.DELETED_ONLY)]
        gone = [found.experiment_id for found in _pages(client.search_experiments, view_type=ViewType.DELETED_ONLY)]
        # A deleted experiment takes its runs along, those that were restored too.
        along = [run.info.run_id for run in _runs(client, gone, ViewType.ACTIVE_ONLY)]
        needed = _registered_runs(client)
    if taken := {run_id: needed[run_id] for run_id in (*deleted, *along) if run_id in needed}:
        told = ", ".join(f"{run_id} ({version})" for run_id, version in taken.items())
        raise RegistryError(
            f"runs were deleted to which registered versions belong: {told}; nothing is removed meanwhile",
            hint="mlflow runs restore --run-id RUN, and mlflow experiments restore --experiment-id ID where that is deleted too "
            "(MLFLOW_TRACKING_URI names the store), or delete the versions on MLflow's page",
        )
    return deleted


def _registered_runs(client: MlflowClient) -> dict[str, str]:
    """Run of each registered version, of all models, to the version's name."""
    return {
        version.run_id: f"{version.name} v{version.version}"
        for version in _pages(client.search_model_versions)
        if version.run_id
    }


def _runs(client: MlflowClient, experiments: Sequence[str], view: str, filter_string: str = "") -> list[Any]:
    if not experiments:
        return []
    found = _pages(
        client.search_runs, experiment_ids=list(experiments), run_view_type=view, filter_string=filter_string
    )
    return list(found)


def _pages(search: Any, **query: Any) -> Iterator[Any]:
    """Everything that one of MLflow's searches finds."""
    token = None
    while True:
        page = search(**query, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
