"""`aura up` as a person runs it: everything starts, whatever is killed comes back, and `aura down` leaves nothing."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from aura.errors import ServiceError
from aura.paths import repo_root
from flows.platform.parts import Platform
from flows.processes import free_port
from flows.profile import load_profile
from flows.services import SERVICES

HANG_SECONDS = 400


class Machine:
    """A home of its own, and ports that nobody uses."""

    def __init__(self, home: Path) -> None:
        self.home = home
        named = [*(f"serving.ports.{name}" for name in SERVICES), "gateway.http_port", "gateway.https_port"]
        tools = ["gateway.mlflow", "gateway.prefect", "gateway.prometheus", "gateway.platform_health"]
        tools.append("monitoring.alertmanager")
        self.ports = {name: free_port() for name in [*named, *tools, "redis"]}
        self.settings = [f"{name}={self.ports[name]}" for name in named]
        self.settings += [f"{name}=127.0.0.1:{self.ports[name]}" for name in tools]

    def aura(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {
            "AURA_HOME": str(self.home), "PYTHONPATH": str(repo_root()),
            "AURA_MONITORING__WEBHOOK_URL": "http://127.0.0.1:9/nobody-listens",
        }  # fmt: skip
        return subprocess.run(
            [sys.executable, "-m", "flows.cli.app", *arguments],
            env=environment, cwd=repo_root(), capture_output=True, text=True, timeout=HANG_SECONDS,
        )  # fmt: skip

    def up(self) -> subprocess.CompletedProcess[str]:
        overrides = [word for setting in self.settings for word in ("--set", setting)]
        return self.aura("up", *overrides, "--redis-port", str(self.ports["redis"]))

    def running(self) -> dict[str, int | None]:
        """Process of each part; None while it has none."""
        lines = [line.split() for line in self.aura("parts").stdout.splitlines()]
        return {words[0]: int(words[3].rstrip(",")) if words[1] == "RUNNING" else None for words in lines}

    def health(self) -> dict[str, object]:
        found: dict[str, object] = httpx.get(
            f"http://127.0.0.1:{self.ports['gateway.http_port']}/health", timeout=60, trust_env=False
        ).json()
        return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_everything_starts_comes_back_and_goes(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "home")
    started = machine.up()
    try:
        assert started.returncode == 0, started.stdout + started.stderr
        assert "chat; run `aura nightly --profile sample`" in started.stdout, "what is left out is said"
        assert machine.health()["state"] == "ready"
        before = machine.running()
        expected = {"postgres", "mlflow", "prefect", "worker", "accounts", "platform_health", "gateway"}
        programs = {"redis": "redis-server", "prometheus": "prometheus", "alertmanager": "prometheus-alertmanager"}
        expected |= {name for name, program in programs.items() if shutil.which(program)}
        assert before.keys() == expected
        assert None not in before.values()
        assert machine.up().returncode == 2, "a second one is refused"
        _wait_until_prometheus_knows(machine, "aura_database_up", "1")
        schedule = httpx.post(
            f"http://127.0.0.1:{machine.ports['gateway.prefect']}/api/deployments/filter", json={}, trust_env=False
        ).json()
        active = {each["name"]: each["schedules"][0]["active"] for each in schedule}
        assert active == {"nightly": True, "maintenance": True}
        supervisor = psutil.Process(int((machine.home / "up" / "supervisord.pid").read_text()))
        for pid in before.values():
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        _wait_until_back(machine, before)
        family = [supervisor, *supervisor.children(recursive=True)]
    finally:
        stopped = machine.aura("down")
    assert stopped.stdout == "stopped\n"
    assert [process for process in family if _alive(process)] == []
    for port in machine.ports.values():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
    assert machine.aura("down").stdout == "nothing was up\n"


def _wait_until_prometheus_knows(machine: Machine, metric: str, value: str) -> None:
    url = f"http://127.0.0.1:{machine.ports['gateway.prometheus']}/api/v1/query"
    limit, found = time.monotonic() + HANG_SECONDS, []
    while [sample["value"][1] for sample in found] != [value]:
        assert time.monotonic() < limit, found
        time.sleep(0.5)
        found = httpx.get(url, params={"query": metric}, trust_env=False).json()["data"]["result"]


def _wait_until_back(machine: Machine, before: dict[str, int | None]) -> None:
    limit = time.monotonic() + HANG_SECONDS
    while True:
        now = machine.running()
        back = all(now[name] not in (None, pid) for name, pid in before.items())
        try:
            if back and machine.health().get("state") == "ready":
                return
        except (httpx.HTTPError, ValueError):
            pass
        assert time.monotonic() < limit, (before, now)
        time.sleep(0.5)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _platform(said: list[str]) -> Platform:
    machine = Machine(Path("unused"))
    profile = load_profile("sample", machine.settings)
    return Platform(profile, "sample", lambda _: True, said.append, machine.ports["redis"])


def test_what_is_missing_and_taken_is_said_at_once_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    platform = _platform(said)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", platform.profile.gateway.https_port))
        two.bind(("127.0.0.1", platform.profile.serving.ports["accounts"]))
        with pytest.raises(ServiceError) as refused:
            platform.check()
    assert "nginx is not installed" in refused.value.message
    assert refused.value.message.count("cannot listen on") == 2
    hints = ("apt-get install nginx-light", "--set gateway.https_port=PORT", "--set serving.ports.accounts=PORT")
    assert all(hint in refused.value.hint for hint in hints)
    assert any("apt-get install redis-server" in text for text in said)
    assert any("apt-get install prometheus" in text for text in said)
    assert any("AURA_MONITORING__WEBHOOK_URL is not set" in text for text in said)


def test_every_replica_of_this_machine_is_a_part_and_those_elsewhere_are_not() -> None:
    machine = Machine(Path("unused"))
    upstreams = "gateway.upstreams.visual_analysis=[127.0.0.1:8000,127.0.0.1:8010,10.0.0.7:8000]"
    profile = load_profile("sample", [*machine.settings, upstreams])
    parts = Platform(profile, "sample", lambda _: True, print, machine.ports["redis"]).parts()
    replicas = {part.name: part.command[-1] for part in parts if part.group == "visual_analysis"}
    assert replicas == {"visual_analysis": "8000", "visual_analysis_2": "8010"}
