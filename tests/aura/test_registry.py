"""The registry on a real MLflow store (SQLite)."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from aura.artifact import content_hash, write_json
from aura.errors import RegistryError
from aura.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry
from aura.tracking import TrackingSettings


@pytest.fixture
def registry(own_home: Path) -> Registry:  # noqa: ARG001
    return Registry(TrackingSettings(), "test")


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    write_json(folder / "config.json", {"hidden": 4})
    write_json(folder / "nested" / "more.json", {})
    return folder


def register(registry: Registry, artifact: Path, candidate: str) -> str:
    return registry.register("detection", artifact, run_id=None, tags={"candidate_id": candidate}).version


def test_the_same_candidate_is_registered_once(registry: Registry, artifact: Path) -> None:
    assert register(registry, artifact, "a") == register(registry, artifact, "a") == "1"
    assert register(registry, artifact, "b") == "2"
    assert [one.version for one in registry.versions("detection")] == ["2", "1"]


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
