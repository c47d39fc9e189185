"""What MLflow's pages show of a registered version: a description, the metrics that it was judged by, its pictures.

The page of a version shows a description and links the run of its training. So the judged metrics go to that run, where MLflow
compares two nights side by side, and to a logged model, which stands under *Models* in the experiment with a link to the version.
The files of a version stay with the run, where the registry checks them; the logged model holds the description alone.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from mlflow.entities import LoggedModelOutput, Metric

from aura.artifact import write_text
from aura.tracking import PICTURES, run_is_active

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

MAX_DESCRIPTION_CHARS = 5000
"""Width of MLflow's column."""
_CANDIDATE = "candidate_id"
_VERSIONS = "mlflow.modelVersions"
"""Tag of a logged model by which MLflow's pages link the versions made from it."""
_DESCRIPTION = "mlflow.note.content"
"""Tag of a run that its page shows as its description."""
_CUT = "\n\n(cut: see `lineage/comparison.json` of the source run)\n"


@dataclass(frozen=True, kw_only=True)
class VersionPage:
    """What is to be seen of one version.

    Attributes:
        title: name of its run and of its logged model, for example `detection v3`.
        description: Markdown; links to the run's pictures are added.
        metrics: name to value on the test split; `/` in a name makes a section of charts.
    """

    title: str
    description: str
    metrics: Mapping[str, float] = field(default_factory=dict)


def publish(client: MlflowClient, version: ModelVersion, page: VersionPage) -> None:
    """Write a version's page. Repeating it changes nothing, and neither does a kill in between.

    Raises:
        MlflowException: the store refuses or does not answer.
    """
    if not run_is_active(client, version.run_id):  # deleted on the page, and with it the pictures
        client.update_model_version(version.name, version.version, _cut(page.description, MAX_DESCRIPTION_CHARS))
        return
    description = _with_pictures(page.description, version.run_id, _pictures(client, version.run_id))
    model_id = _logged_model(client, version, page.title, description)
    known = client.get_logged_model(model_id).metrics or []
    logged = {metric.key: metric.value for metric in known}
    now = int(time.time() * 1000)
    metrics = [
        Metric(name, value, now, 0, model_id=model_id)
        for name, value in ((metric_name(name), float(value)) for name, value in page.metrics.items())
        if logged.get(name) != value
    ]
    client.log_batch(version.run_id, metrics=metrics)
    client.update_run(version.run_id, name=page.title)
    client.set_tag(version.run_id, _DESCRIPTION, description)
    client.update_model_version(version.name, version.version, description)


def metric_name(name: str) -> str:
    """A name that MLflow takes: what it refuses becomes `_`."""
    return re.sub(r"[^/\w.\- :]", "_", name)


def _logged_model(client: MlflowClient, version: ModelVersion, title: str, description: str) -> str:
    """Id of the version's logged model, made when missing."""
    experiment = client.get_run(version.run_id).info.experiment_id
    found = [
        model
        for model in client.search_logged_models([experiment], f"source_run_id = '{version.run_id}'")
        if model.tags.get(_CANDIDATE) == version.tags.get(_CANDIDATE)
    ]
    made = (
        found[0]
        if found
        else client.create_logged_model(
            experiment, name=title, source_run_id=version.run_id, tags={_CANDIDATE: version.tags.get(_CANDIDATE, "")}
        )
    )
    with tempfile.TemporaryDirectory(prefix="aura-page-") as folder:
        write_text(Path(folder) / "description.md", description)
        client.log_model_artifacts(made.model_id, folder)
    client.set_logged_model_tags(
        made.model_id, {_VERSIONS: json.dumps([{"name": version.name, "version": int(version.version)}])}
    )
    outputs = client.get_run(version.run_id).outputs
    if made.model_id not in {output.model_id for output in (outputs.model_outputs if outputs else [])}:
        client.log_outputs(version.run_id, [LoggedModelOutput(made.model_id, step=0)])
    client.finalize_logged_model(made.model_id, "READY")
    return str(made.model_id)


def _pictures(client: MlflowClient, run_id: str) -> list[str]:
    return sorted(file.path for file in client.list_artifacts(run_id, PICTURES) if file.path.endswith(".png"))


def _with_pictures(description: str, run_id: str, pictures: list[str]) -> str:
    """The description with the run's pictures, cut to what MLflow stores; the pictures are never cut off."""
    # The address is relative: MLflow's own page shows it, wherever the server runs.
    shown = [f"![{Path(path).stem}](get-artifact?{urlencode({'path': path, 'run_uuid': run_id})})" for path in pictures]
    tail = "\n\n## Pictures\n\n" + "\n\n".join(shown) + "\n" if shown else ""
    return _cut(description, MAX_DESCRIPTION_CHARS - len(tail)) + tail


def _cut(description: str, chars: int) -> str:
    """The whole lines of a description that have room in so many characters."""
    return description if len(description) <= chars else description[: chars - len(_CUT)].rsplit("\n", 1)[0] + _CUT
