"""MLflow run of one training: metrics, pictures, parameters, and Lightning's logger on the same run.

With tracking off everything still works, on a machine without MLflow: metrics go to CSV files beside the checkpoints.
A resumed training continues its run, whose id lies beside the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from pydantic import model_validator

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError, RegistryError
from aura.heavy_imports import heavy_imports
from aura.local_mlflow import artifact_location, artifact_root, database_file, follow_move, is_database, make_ready
from aura.paths import home
from aura.proxies import exempt_loopback
from aura.settings import Place, Section, Uri

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PARAM_MAX_CHARS = 500
_RUN_FILE = "run.json"
PICTURES = "pictures"
"""Folder of the pictures among the artifacts of a run."""
_KIND = "mlflow.experimentKind"
_MODEL_TRAINING = "custom_model_development"
"""Kind of an experiment. Without one, MLflow's page takes it for an application of language models: traces, no curves."""


class TrackingSettings(Section):
    """Where runs and models are recorded."""

    enabled: bool = True
    uri: Place = ""
    """MLflow tracking and registry URI; empty: SQLite under the home folder. `MLFLOW_TRACKING_URI` is not read."""
    artifacts: Uri = ""
    """`s3://BUCKET/PATH` for the files of runs and models, where `uri` names no server (a server decides itself); empty:
    beside an SQLite database, else in the home folder. Keys, region and endpoint come from the environment
    (docs/operations.md)."""
    namespace: str = ""
    """Prefix of experiment and model names, so that profiles do not compete; empty: the profile's name."""

    @model_validator(mode="after")
    def _artifacts_have_a_place(self) -> Self:
        if self.uri.startswith(("http://", "https://")):
            self.refuse_ignored(["artifacts"], "an MLflow server decides with --artifacts-destination where files go")
        if self.artifacts and not self.artifacts.startswith("s3://"):
            raise ValueError(f"tracking.artifacts is {self.artifacts}, and must be s3://BUCKET/PATH")
        return self

    def prefix(self, profile: str) -> str:
        return self.namespace or profile


class Tracker(Protocol):
    """What a training logs."""

    @property
    def run_id(self) -> str | None:
        """MLflow run id; None with tracking off."""

    def log_params(self, values: Mapping[str, Any]) -> None: ...

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None: ...

    def log_picture(self, path: Path) -> None: ...

    def set_tags(self, values: Mapping[str, str]) -> None: ...

    def lightning_logger(self) -> Any:
        """A Lightning logger for `Trainer(logger=...)`."""

    def told(self) -> AbstractContextManager[None]:
        """Turns what the store raises, also through the Lightning logger, into a RegistryError that says what to do."""

    def finish(self, status: str = "FINISHED") -> None: ...


def store_address(settings: TrackingSettings) -> str:
    """The configured URI, or SQLite under the home folder."""
    return settings.uri or f"sqlite:///{home() / 'mlflow' / 'mlflow.db'}"


def tracking_uri(settings: TrackingSettings) -> str:
    """The configured URI, or SQLite under the home folder; a local store is created here, and follows its home if that moved.

    Raises:
        BusyError: another process has been creating the store for two minutes.
    """
    exempt_loopback()  # MLflow's client may be made for it
    uri = store_address(settings)
    if (database := database_file(uri)) is not None:
        make_ready(uri, database)
        if not settings.uri:
            follow_move(database)
    return uri


def store_exists(settings: TrackingSettings) -> bool:
    """Whether anything was ever tracked. Opening an embedded store that does not exist would create it, which takes seconds."""
    return bool(settings.uri) or (home() / "mlflow" / "mlflow.db").is_file()


def experiment_id(client: MlflowClient, settings: TrackingSettings, name: str) -> str:
    """Id of the experiment, made when missing and marked as model training; local stores keep artifacts under the home folder.

    Raises:
        RegistryError: it keeps its artifacts elsewhere than `settings.artifacts` says.
    """
    stored = f"{settings.artifacts.rstrip('/')}/{name.replace('/', '-')}" if settings.artifacts else None
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        if stored and experiment.artifact_location != stored:
            raise RegistryError(
                f"the experiment {name} has its files at {experiment.artifact_location}, and MLflow moves none: "
                f"tracking.artifacts={settings.artifacts} would be ignored",
                hint="set tracking.namespace to another name, for new experiments and models, or leave tracking.artifacts empty",
            )
        if not experiment.tags.get(_KIND):  # made by an older version; what a person chose on the page stays
            client.set_experiment_tag(experiment.experiment_id, _KIND, _MODEL_TRAINING)
        return str(experiment.experiment_id)
    # A server decides where artifacts go; behind a bare database MLflow would take the working directory of each process.
    uri = tracking_uri(settings)
    location = stored or (artifact_location(artifact_root(uri), name) if is_database(uri) else None)
    return str(client.create_experiment(name, artifact_location=location, tags={_KIND: _MODEL_TRAINING}))


def run_is_active(client: MlflowClient, run_id: str) -> bool:
    """Whether the store still has a run: the store may have been moved or emptied, or the run deleted."""
    from mlflow.exceptions import MlflowException

    try:
        return bool(client.get_run(run_id).info.lifecycle_stage == "active")
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


def recorded_run(folder: Path) -> str | None:
    """Id of the MLflow run that was recorded beside the checkpoints in `folder`; None without one, or when it is unreadable.

    A training without its run is continued in a new one, which is better than one that fails every night.
    """
    try:
        return str(read_json(folder / _RUN_FILE, "the id of the MLflow run")["run_id"])
    except (ArtifactError, KeyError, TypeError):
        return None


def open_tracker(settings: TrackingSettings, *, experiment: str, run_name: str, folder: Path) -> Tracker:
    """Tracker for a training whose checkpoints lie in `folder`; continues the run whose id is recorded there, if any.

    Raises:
        RegistryError: the store cannot be used, or is away.
    """
    if not settings.enabled:
        return LocalTracker(folder)
    with heavy_imports():
        from aura.mlflow_errors import opening

    with opening(store_address(settings)):
        return MlflowTracker(settings, experiment=experiment, run_name=run_name, folder=folder)


class LocalTracker:
    """Tracking off: CSV files by Lightning, pictures stay where they were drawn."""

    run_id = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def log_params(self, values: Mapping[str, Any]) -> None:
        write_json(self._folder / "params.json", dict(values))

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        write_json(self._folder / "metrics.json", {**values, "step": step})

    def log_picture(self, path: Path) -> None:
        if not path.is_file():
            raise ValueError(f"no picture at {path}")

    def set_tags(self, values: Mapping[str, str]) -> None:
        write_json(self._folder / "tags.json", dict(values))

    def lightning_logger(self) -> Any:
        from lightning.pytorch.loggers import CSVLogger

        return CSVLogger(self._folder, name="csv", version=0)

    def told(self) -> AbstractContextManager[None]:
        return nullcontext()

    def finish(self, status: str = "FINISHED") -> None:
        write_json(self._folder / "status.json", {"status": status})


class MlflowTracker:
    """One MLflow run, written through the client so that no global state is touched."""

    def __init__(self, settings: TrackingSettings, *, experiment: str, run_name: str, folder: Path) -> None:
        from mlflow import MlflowClient

        from aura.mlflow_errors import require_database

        require_database(store_address(settings))
        self._uri = tracking_uri(settings)
        self._client = MlflowClient(self._uri, registry_uri=self._uri)
        self._experiment = experiment
        known = recorded_run(folder)
        self.run_id: str | None = known
        if known and run_is_active(self._client, known):
            self._client.update_run(known, status="RUNNING")
        else:
            run = self._client.create_run(experiment_id(self._client, settings, experiment), run_name=run_name)
            self.run_id = str(run.info.run_id)
            write_json(folder / _RUN_FILE, {"run_id": self.run_id, "experiment": experiment})

    def log_params(self, values: Mapping[str, Any]) -> None:
        for key, value in values.items():
            self._client.log_param(self.run_id, key, str(value)[:_PARAM_MAX_CHARS])

    def log_metrics(self, values: Mapping[str, float], step: int | None = None) -> None:
        for key, value in values.items():
            self._client.log_metric(self.run_id, key, float(value), step=step or 0)

    def log_picture(self, path: Path) -> None:
        self._client.log_artifact(self.run_id, str(path), PICTURES)

    def set_tags(self, values: Mapping[str, str]) -> None:
        for key, value in values.items():
            self._client.set_tag(self.run_id, key, value)

    def lightning_logger(self) -> Any:
        from lightning.pytorch.loggers import MLFlowLogger

        # log_model copies every checkpoint into the artifact store; the artifact is logged once, at registration.
        return MLFlowLogger(
            experiment_name=self._experiment, tracking_uri=self._uri, run_id=self.run_id, log_model=False
        )

    def told(self) -> AbstractContextManager[None]:
        from aura.mlflow_errors import told

        return told(self._uri)

    def finish(self, status: str = "FINISHED") -> None:
        self._client.set_terminated(self.run_id, status)
