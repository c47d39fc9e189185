"""What a version's page holds, on a real MLflow store (SQLite)."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from aura.artifact import write_json
from aura.registry import ModelVersion, Registry
from aura.tracking import TrackingSettings, open_tracker, tracking_uri
from aura.version_page import MAX_DESCRIPTION_CHARS, VersionPage, metric_name


@pytest.fixture
def registry(own_home: Path) -> Registry:  # noqa: ARG001
    return Registry(TrackingSettings(), "test")


@pytest.fixture
def client(registry: Registry) -> MlflowClient:
    return MlflowClient(registry.uri)


@pytest.fixture
def version(registry: Registry, tmp_path: Path) -> ModelVersion:
    """A version whose training left a picture."""
    tracker = open_tracker(TrackingSettings(), experiment="test/detection", run_name="x", folder=tmp_path / "run")
    (tmp_path / "boxes & more.png").write_bytes(b"png")
    tracker.log_picture(tmp_path / "boxes & more.png")
    tracker.finish()
    write_json(tmp_path / "artifact" / "config.json", {})
    return registry.register("detection", tmp_path / "artifact", run_id=tracker.run_id, tags={"candidate_id": "a"})


PAGE = VersionPage(title="detection v1", description="**promoted**", metrics={"test/ap50": 0.5, "test/topic/a,b": 1})


def test_description_metrics_and_logged_model_are_written_once_however_often_it_is_asked_for(
    registry: Registry, client: MlflowClient, version: ModelVersion
) -> None:
    for _ in range(2):
        registry.publish(version, PAGE)
    description = client.get_model_version("test.detection", "1").description
    assert description.startswith("**promoted**\n\n## Pictures\n\n![boxes & more](get-artifact?path=pictures%2Fboxes")
    assert f"run_uuid={version.run_id}" in description
    run = client.get_run(version.run_id)
    assert run.info.run_name == "detection v1"
    assert run.data.tags["mlflow.note.content"] == description
    assert run.data.metrics == {"test/ap50": 0.5, "test/topic/a_b": 1.0}
    assert len(client.get_metric_history(version.run_id, "test/ap50")) == 1
    (model,) = client.search_logged_models([run.info.experiment_id])
    assert {metric.key: metric.value for metric in model.metrics} == run.data.metrics
    assert (model.name, model.status) == ("detection v1", "READY")
    assert '"test.detection"' in model.tags["mlflow.modelVersions"]
    assert [output.model_id for output in run.outputs.model_outputs] == [model.model_id]


def test_a_verdict_that_is_taken_again_replaces_the_description(
    registry: Registry, client: MlflowClient, version: ModelVersion
) -> None:
    registry.publish(version, PAGE)
    registry.publish(version, VersionPage(title="detection v1", description="**kept champion**"))
    assert client.get_model_version("test.detection", "1").description.startswith("**kept champion**")


def test_a_long_description_is_cut_at_a_line_and_keeps_its_pictures(
    registry: Registry, client: MlflowClient, version: ModelVersion
) -> None:
    lines = [f"| slice {number} | 0.5 |" for number in range(900)]
    registry.publish(version, VersionPage(title="x", description="\n".join(lines)))
    description = client.get_model_version("test.detection", "1").description
    assert len(description) <= MAX_DESCRIPTION_CHARS
    assert "(cut: " in description
    assert "get-artifact" in description
    kept = [line for line in description.splitlines() if line.startswith("| slice")]
    assert kept == lines[: len(kept)]


def test_a_run_that_somebody_deleted_costs_the_figures_but_not_the_description(
    registry: Registry, client: MlflowClient, version: ModelVersion
) -> None:
    client.delete_run(version.run_id)
    registry.publish(version, PAGE)
    assert client.get_model_version("test.detection", "1").description == "**promoted**"


def test_a_run_that_only_holds_files_does_not_run_for_ever(
    registry: Registry, client: MlflowClient, tmp_path: Path
) -> None:
    write_json(tmp_path / "artifact" / "config.json", {})
    made = registry.register("detection", tmp_path / "artifact", run_id=None, tags={"candidate_id": "b"})
    assert client.get_run(made.run_id).info.status == "FINISHED"
    assert "`champion` serves" in client.get_registered_model("test.detection").description


@pytest.mark.parametrize(
    ("name", "taken"), [("test/ap50", "test/ap50"), ("a (b) & ç", "a _b_ _ ç"), ("x:y z", "x:y z")]
)
def test_a_metric_gets_a_name_that_mlflow_takes(name: str, taken: str, tmp_path: Path) -> None:
    assert metric_name(name) == taken
    tracker = open_tracker(TrackingSettings(), experiment="test/x", run_name="x", folder=tmp_path)
    tracker.log_metrics({taken: 1.0})
    assert MlflowClient(tracking_uri(TrackingSettings())).get_run(tracker.run_id).data.metrics == {taken: 1.0}
