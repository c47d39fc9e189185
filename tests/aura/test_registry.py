"""The registry on a real MLflow store (SQLite)."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from aura.artifact import content_hash, write_json
from aura.errors import DamagedArtifactError, RegistryError, RegistryUnavailableError
from aura.registry import ARTIFACT_HASH, CHALLENGER, CHAMPION, PREVIOUS, ModelVersion, Registry
from aura.tracking import TrackingSettings


@pytest.fixture
def registry(own_home: Path) -> Registry:  # noqa: ARG001
    return Registry(TrackingSettings(), "test")


def register(registry: Registry, artifact: Path, candidate: str) -> str:
    return registry.register("detection", artifact, run_id=None, tags={"candidate_id": candidate}).version


def test_the_same_candidate_is_registered_once(registry: Registry, artifact: Path) -> None:
    assert register(registry, artifact, "a") == register(registry, artifact, "a") == "1"
    assert register(registry, artifact, "b") == "2"
    assert [version.version for version in registry.versions("detection")] == ["2", "1"]


def test_aliases_move_on_promotion_and_back_on_rollback(registry: Registry, artifact: Path) -> None:
    first, second = register(registry, artifact, "a"), register(registry, artifact, "b")
    registry.set_alias("detection", CHALLENGER, second)
    registry.promote("detection", first)
    registry.promote("detection", second)
    registry.promote("detection", second)  # repeating it must not make the champion its own predecessor
    assert {alias: registry.at("detection", alias).version for alias in (CHAMPION, PREVIOUS, CHALLENGER)} == {  # type: ignore[union-attr]
        CHAMPION: second, PREVIOUS: first, CHALLENGER: second,
    }  # fmt: skip
    assert registry.rollback("detection").version == first
    assert registry.rollback("detection").version == second


def test_a_download_is_the_registered_artifact(registry: Registry, artifact: Path, tmp_path: Path) -> None:
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    got = registry.download(version, tmp_path / "got")
    assert content_hash(got) == content_hash(artifact)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def stored_file(version: ModelVersion, own_home: Path, name: str) -> Path:
    """A file of a version's artifact in MLflow's store."""
    (found,) = (own_home / "mlflow" / "artifacts").rglob(f"{version.run_id}/artifacts/model/{name}")
    return found


def test_every_version_carries_the_hash_of_its_files(registry: Registry, artifact: Path) -> None:
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    assert version.tags[ARTIFACT_HASH] == content_hash(artifact)


@pytest.mark.parametrize("damage", ["changed", "missing", "one too many", "all gone"])
def test_files_that_are_not_those_that_were_registered_are_not_handed_out(
    registry: Registry, artifact: Path, own_home: Path, tmp_path: Path, damage: str
) -> None:
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    kept = registry.download(version, tmp_path / "kept")
    file = stored_file(version, own_home, "config.json")
    if damage == "changed":
        file.write_bytes(bytes(file.stat().st_size))
    elif damage == "one too many":
        file.with_name("other.json").write_text("{}", encoding="utf-8")
    else:
        shutil.rmtree(file.parent) if damage == "all gone" else file.unlink()
    for target in (tmp_path / "got", kept):
        with pytest.raises(DamagedArtifactError, match=r"version 1 of test\.detection") as caught:
            registry.download(version, target)
    assert "roll back" in caught.value.hint
    assert not (tmp_path / "got").exists()
    assert content_hash(kept) == content_hash(artifact)
    with pytest.raises(DamagedArtifactError):
        registry.verify(version)
    assert registry.fetch(version, kept) == kept, "a whole copy that is here needs nothing of the store"


def test_a_copy_that_was_changed_here_is_fetched_again(registry: Registry, artifact: Path, tmp_path: Path) -> None:
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    got = registry.fetch(version, tmp_path / "got")
    (got / "config.json").write_text("{}", encoding="utf-8")
    assert content_hash(registry.fetch(version, got)) == content_hash(artifact)


def test_a_version_from_before_hashes_is_trusted_once(
    registry: Registry, artifact: Path, own_home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    old = replace(version, tags={"candidate_id": "a"})
    registry._client.delete_model_version_tag(registry.name("detection"), "1", ARTIFACT_HASH)
    assert content_hash(registry.fetch(old, tmp_path / "got")) == content_hash(artifact)
    assert "had no hash of its files" in caplog.text
    stored_file(version, own_home, "config.json").write_bytes(b"{}")
    with pytest.raises(DamagedArtifactError):
        registry.verify(registry.version("detection", "1"))


def test_damaged_files_are_put_back_from_a_whole_copy_only(
    registry: Registry, artifact: Path, own_home: Path, tmp_path: Path
) -> None:
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    stored_file(version, own_home, "config.json").write_bytes(b"")
    write_json(tmp_path / "other" / "config.json", {"hidden": 5})
    assert not registry.put_back(version, tmp_path / "other")
    assert not registry.put_back(version, tmp_path / "none")
    assert registry.put_back(version, artifact)
    registry.verify(version)


def test_errors_name_what_exists(registry: Registry, artifact: Path) -> None:
    assert registry.versions("detection") == []
    with pytest.raises(RegistryError, match="no previous champion"):
        registry.rollback("detection")
    register(registry, artifact, "a")
    with pytest.raises(RegistryError, match="no version 7; it has: 1"):
        registry.promote("detection", "7")


def test_profiles_do_not_share_versions(registry: Registry, artifact: Path) -> None:
    register(registry, artifact, "a")
    assert Registry(TrackingSettings(), "other").versions("detection") == []


def test_a_server_that_is_away_is_an_error_with_a_hint_at_once() -> None:
    # MLflow itself would try for four minutes.
    with pytest.raises(RegistryError, match=r"no MLflow server answers at http://127.0.0.1:9") as caught:
        Registry(TrackingSettings(uri="http://127.0.0.1:9"), "test").versions("detection")
    assert "tracking.uri" in caught.value.hint
    assert isinstance(caught.value, RegistryUnavailableError)
    assert caught.value.transient


def test_a_server_that_is_no_mlflow_is_an_error_with_a_hint() -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(400)

        def do_HEAD(self) -> None:
            self.send_error(400)

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        uri = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(RegistryError, match=f"registry at {uri} answered") as caught:
            Registry(TrackingSettings(uri=uri), "test").versions("detection")
        server.shutdown()
    assert "tracking.uri" in caught.value.hint


def test_without_tracking_there_is_no_registry() -> None:
    with pytest.raises(RegistryError, match="tracking is off"):
        Registry(TrackingSettings(enabled=False), "test")


def test_a_run_that_the_store_has_lost_is_replaced(registry: Registry, artifact: Path) -> None:
    lost = registry.register("detection", artifact, run_id="0" * 32, tags={"candidate_id": "a"})
    assert lost.run_id != "0" * 32
    assert registry.find("detection", "a") == lost


def test_a_half_deleted_copy_is_fetched_again(registry: Registry, artifact: Path, tmp_path: Path) -> None:
    version = registry.register("detection", artifact, run_id=None, tags={"candidate_id": "a"})
    got = registry.fetch(version, tmp_path / "serving" / "got")
    (got / "config.json").unlink()
    abandoned = tmp_path / "serving" / ".download-killed"
    shutil.copytree(got, abandoned)
    assert content_hash(registry.fetch(version, got)) == content_hash(artifact)
    assert [path.name for path in got.parent.iterdir()] == ["got"], "what a killed fetch left does not stay"
