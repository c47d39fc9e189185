"""MLflow runs that a resumed training continues, and tracking off."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from aura.artifact import read_json
from aura.tracking import LocalTracker, TrackingSettings, experiment_id, open_tracker, recorded_run, tracking_uri


def test_a_second_attempt_continues_the_run(tmp_path: Path, own_home: Path) -> None:
    settings = TrackingSettings()
    picture = tmp_path / "curve.png"
    picture.write_bytes(b"png")
    runs = set()
    for step in (0, 1):
        tracker = open_tracker(settings, experiment="test/detection", run_name="one", folder=tmp_path)
        tracker.log_params({"detection.max_epochs": 3})
        tracker.log_metrics({"loss": 1.0 - step}, step=step)
        tracker.log_picture(picture)
        tracker.finish()
        runs.add(tracker.run_id)
    assert len(runs) == 1
    client = MlflowClient(tracking_uri(settings))
    run = client.get_run(runs.pop())
    assert run.data.params == {"detection.max_epochs": "3"}
    assert [point.value for point in client.get_metric_history(run.info.run_id, "loss")] == [1.0, 0.0]
    assert [file.path for file in client.list_artifacts(run.info.run_id, "pictures")] == ["pictures/curve.png"]
    assert run.info.artifact_uri.startswith(own_home.as_uri())


def test_a_run_that_somebody_deleted_is_begun_anew(tmp_path: Path) -> None:
    settings = TrackingSettings()
    first = open_tracker(settings, experiment="test/detection", run_name="one", folder=tmp_path)
    MlflowClient(tracking_uri(settings)).delete_run(first.run_id)
    second = open_tracker(settings, experiment="test/detection", run_name="one", folder=tmp_path)
    second.log_metrics({"loss": 0.5})
    assert second.run_id != first.run_id
    third = open_tracker(settings, experiment="test/detection", run_name="one", folder=tmp_path)
    assert third.run_id == second.run_id


def test_with_tracking_off_the_metrics_lie_beside_the_checkpoints(tmp_path: Path) -> None:
    tracker = open_tracker(TrackingSettings(enabled=False), experiment="x", run_name="x", folder=tmp_path)
    assert isinstance(tracker, LocalTracker)
    tracker.log_metrics({"loss": 0.5})
    assert read_json(tmp_path / "metrics.json", "metrics")["loss"] == 0.5


def test_experiments_are_marked_as_model_training_unless_a_person_chose_otherwise() -> None:
    settings = TrackingSettings()
    client = MlflowClient(tracking_uri(settings))

    def kind(name: str) -> str | None:
        experiment_id(client, settings, name)
        found: str | None = client.get_experiment_by_name(name).tags.get("mlflow.experimentKind")
        return found

    assert kind("test/new") == "custom_model_development"
    client.create_experiment("test/from an older version")
    assert kind("test/from an older version") == "custom_model_development"
    client.create_experiment("test/chosen", tags={"mlflow.experimentKind": "genai_development"})
    assert kind("test/chosen") == "genai_development"


@pytest.mark.parametrize("left", ["", "{", "[]", "{}"])
def test_a_training_whose_run_cannot_be_read_is_continued_in_a_new_one(tmp_path: Path, left: str) -> None:
    settings = TrackingSettings()
    first = open_tracker(settings, experiment="test/detection", run_name="one", folder=tmp_path)
    (tmp_path / "run.json").write_text(left, encoding="utf-8")  # as a power cut may leave it
    assert recorded_run(tmp_path) is None
    second = open_tracker(settings, experiment="test/detection", run_name="one", folder=tmp_path)
    assert second.run_id not in (None, first.run_id)
    assert recorded_run(tmp_path) == second.run_id
