"""Releases on a real MLflow server, which is frozen and killed while a runner follows it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from aura.artifact import write_text
from aura.errors import RegistryUnavailableError
from aura.registry import Registry
from aura.releases import Releases
from aura.tracking import TrackingSettings
from bentos.serving import following
from bentos.serving.assets import RegistryAssets
from bentos.serving.following import Following
from bentos.serving.settings import ServingSettings
from flows.processes import free_port, stop, wait_until_healthy
from tests.bentos.serving.test_following import Loader

pytestmark = pytest.mark.slow


class Server:
    """An MLflow server that can be started again at its address."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        command = [
            sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1",
            "--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}",
            "--artifacts-destination", str(self.folder / "artifacts"),
        ]  # fmt: skip
        log = self.folder / "server.log"
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
                env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            )  # fmt: skip
        wait_until_healthy(f"{self.uri}/health", self.process, log, 240)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.process.wait()
        while not _refuses(
            self.port
        ):  # its worker dies a moment later, and MLflow's client would try again for minutes
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)


def _refuses(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    yield server
    server.signal(signal.SIGCONT)
    stop(server.process)


def test_a_registry_that_is_frozen_or_killed_changes_nothing_and_is_followed_again_when_it_is_back(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura.mlflow_errors._ANSWER_SECONDS", 1.0)
    tracking = TrackingSettings(uri=server.uri)
    registry = Registry(tracking, "sample")

    def promoted(candidate: str) -> None:
        write_text(tmp_path / candidate / "config.json", candidate)
        version = registry.register("chat", tmp_path / candidate, run_id=None, tags={"candidate_id": candidate})
        registry.promote("chat", version.version)
        Releases(registry).make(lambda: None, candidate)

    promoted("first")
    assets = RegistryAssets("sample", ServingSettings(), tracking)
    with assets.champion("chat", assets.release()) as champion:
        assert (champion.folder / "config.json").read_text(encoding="utf-8") == "first"
    assets_follow, assets.follows = assets.follows, False  # looked at by hand
    assert assets_follow
    followed = Following(assets, "chat", assets.index, Loader())
    for away, back in (
        (lambda: server.signal(signal.SIGSTOP), lambda: server.signal(signal.SIGCONT)),
        (server.kill, server.start),
    ):
        before = followed.now().versions.id
        away()
        followed.look()
        assert followed.now().versions.id == before
        assets.follows = True
        with monkeypatch.context() as patch:
            patch.setattr(following, "AWAY_SECONDS", 0.0)
            assert "the registry has not answered" in followed.degraded[0]
        assets.follows = False
        with pytest.raises(RegistryUnavailableError):
            RegistryAssets("sample", ServingSettings(), tracking).release()
        back()
        promoted(f"after {before}")
        followed.look()
        assert followed.now().versions.id == str(int(before) + 1)
        assert followed.degraded == []


def test_a_runner_starts_from_what_it_served_last_while_the_registry_is_away(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aura.mlflow_errors._ANSWER_SECONDS", 1.0)
    tracking = TrackingSettings(uri=server.uri)
    registry = Registry(tracking, "sample")
    write_text(tmp_path / "artifact" / "config.json", "{}")
    version = registry.register("chat", tmp_path / "artifact", run_id=None, tags={"candidate_id": "c" * 64})
    registry.promote("chat", version.version)
    assets = RegistryAssets("sample", ServingSettings(), tracking)
    release = assets.release()
    with assets.champion("chat", release):
        pass
    assets.has_served("chat", release)
    server.kill()
    again = RegistryAssets("sample", ServingSettings(), tracking)
    last = again.last_served("chat")
    assert last == release
    with again.champion("chat", last) as champion:
        assert (champion.folder / "config.json").is_file()
    server.start()
    assert again.release() == release
