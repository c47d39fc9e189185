"""A registry whose files lie in an object store: a real S3 server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from aura.artifact import content_hash
from aura.errors import DamagedArtifactError, RegistryError, SettingsError
from aura.registry import Registry
from aura.settings import validate
from aura.tracking import TrackingSettings
from tests.s3_server import BUCKET, S3Server, s3_server

IN_S3 = TrackingSettings(artifacts=f"s3://{BUCKET}/mlflow")


@pytest.fixture(scope="module")
def running() -> Iterator[S3Server]:
    """One for all tests: MLflow's client keeps its address."""
    with s3_server() as running:
        yield running


@pytest.fixture
def server(running: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in (running.environment | {"AWS_MAX_ATTEMPTS": "1"}).items():
        monkeypatch.setenv(name, value)
    for key in keys(running):
        running.client().delete_object(Bucket=BUCKET, Key=key)
    return running


def keys(server: S3Server) -> list[str]:
    return [entry["Key"] for entry in server.client().list_objects_v2(Bucket=BUCKET).get("Contents", [])]


def test_a_version_is_put_there_and_fetched(server: S3Server, artifact: Path, tmp_path: Path) -> None:
    registry = Registry(IN_S3, "test")
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    assert all(key.startswith("mlflow/test-detection/") for key in keys(server))
    assert {"config.json", "more.json"} <= {Path(key).name for key in keys(server)}
    got = registry.download(version, tmp_path / "got")
    assert content_hash(got) == content_hash(artifact)
    registry.mark_files_removed(version)
    registry.remove_files(version)
    assert keys(server) == []
    with pytest.raises(DamagedArtifactError, match="removed on"):
        registry.download(registry.version("detection", "1"), tmp_path / "again")
    assert registry.put_back(registry.version("detection", "1"), artifact)
    registry.verify(registry.version("detection", "1"))


def test_a_version_whose_files_are_missing_is_broken_and_no_store_that_is_away(
    server: S3Server, artifact: Path, tmp_path: Path
) -> None:
    registry = Registry(IN_S3, "test")
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    first, *others = keys(server)
    for gone in ([first], others):
        for key in gone:
            server.client().delete_object(Bucket=BUCKET, Key=key)
        with pytest.raises(DamagedArtifactError) as told:
            registry.download(version, tmp_path / "got")
        assert not told.value.transient, "a service does not try it again until there is another release"


def test_a_store_that_is_away_is_told(server: S3Server, artifact: Path, tmp_path: Path) -> None:
    registry = Registry(IN_S3, "test")
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    server.stop()
    with pytest.raises(RegistryError) as told:
        registry.download(version, tmp_path / "got")
    assert not isinstance(told.value, DamagedArtifactError)
    assert told.value.transient
    with pytest.raises(RegistryError, match="the object store with the files") as told:
        registry.register("detection", artifact, run_id=None, tags={"candidate_id": "b"})
    assert "AWS_ENDPOINT_URL" in told.value.hint


def test_an_experiment_stays_where_it_began(artifact: Path) -> None:
    Registry(TrackingSettings(), "test").register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    with pytest.raises(RegistryError, match="MLflow moves none"):
        Registry(IN_S3, "test").register("detection", artifact, run_id=None, tags={"candidate_id": "b"})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"artifacts": "s3://aura/mlflow", "uri": "http://mlflow:5000"}, "--artifacts-destination"),
        ({"artifacts": "var/artifacts"}, "must be s3://BUCKET/PATH"),
    ],
)
def test_a_place_that_would_be_ignored_is_refused(values: dict[str, str], reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        validate(TrackingSettings, values, "tracking")
