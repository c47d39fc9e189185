"""A real nginx in front of small real servers."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from aura.paths import repo_root
from flows.gateway.configuration import check_configuration, command, write_configuration
from flows.processes import free_port
from flows.profile import load_profile
from flows.services import SERVICES

HANG_SECONDS = 60.0


@dataclass(frozen=True)
class Gateway:
    """A running nginx."""

    http: str
    https: str
    ports: dict[str, int]
    client: httpx.Client

    def seen(self, path: str, method: str = "GET", **options: object) -> dict[str, object]:
        """What arrived at a service."""
        answer = self.client.request(method, path, **options)  # type: ignore[arg-type]
        assert answer.status_code == 200, answer.text
        seen: dict[str, object] = answer.json()
        return seen


class Processes:
    """Child processes of a test, ended with it."""

    def __init__(self, log: Path) -> None:
        self._log, self._running = log, list[subprocess.Popen[bytes]]()

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=repo_root(), start_new_session=True)
        self._running.append(process)
        return process

    def backend(self, name: str, port: int, host: str = "127.0.0.1") -> subprocess.Popen[bytes]:
        """Start a small server and wait for it."""
        process = self.start(sys.executable, "-m", "tests.flows.gateway.backends", name, str(port), host)
        self.wait_for(f"http://{host}:{port}/health", process)
        return process

    def wait_for(self, url: str, process: subprocess.Popen[bytes]) -> None:
        limit = time.monotonic() + HANG_SECONDS
        while True:
            assert process.poll() is None, self._log.read_text()
            assert time.monotonic() < limit, self._log.read_text()
            try:
                httpx.get(url, timeout=60, trust_env=False, verify=False)
            except httpx.HTTPError:
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._running:
            process.wait(HANG_SECONDS)


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path / "processes.log")
    yield found
    found.stop()


Start = Callable[..., Gateway]


@pytest.fixture
def start(processes: Processes, tmp_path: Path) -> Iterator[Start]:
    """Start a gateway with settings, in front of one small server (or one per name given)."""
    clients = []

    def started(*settings: str, backends: dict[str, int] | None = None) -> Gateway:
        shared = free_port()
        if backends is None:
            processes.backend("shared", shared)
            backends = dict.fromkeys([*SERVICES, "mlflow", "prefect", "grafana", "platform_health"], shared)
        http, https = free_port(), free_port()
        profile = load_profile(
            "sample",
            [
                f"gateway.http_port={http}", f"gateway.https_port={https}",
                *(f"serving.ports.{name}={port}" for name, port in backends.items() if name in SERVICES),
                *(f"gateway.{name}=127.0.0.1:{port}" for name, port in backends.items() if name not in SERVICES),
                *settings,
            ],
        )  # fmt: skip
        file = write_configuration(profile, tmp_path / f"gateway-{http}")
        check_configuration(file)
        process = processes.start(*command(file))
        processes.wait_for(f"http://127.0.0.1:{http}/health", process)
        address = f"https://127.0.0.1:{https}"
        clients.append(httpx.Client(base_url=address, verify=False, timeout=HANG_SECONDS, trust_env=False))
        return Gateway(f"http://127.0.0.1:{http}", address, backends, clients[-1])

    yield started
    for client in clients:
        client.close()


@pytest.fixture
def gateway(start: Start) -> Gateway:
    return start()
