"""A served service as an operator sees it: while its model loads, when its runner dies, its metrics and its log.

It runs as in BentoML's images, which set `BENTOML_CONTAINERIZED`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from aura.paths import repo_root
from aura.supervision import watched, watched_environment
from flows.processes import free_port, stop
from tests.bentos.serving.tiny_service import LOADED

pytestmark = pytest.mark.slow

HANG_SECONDS = 120
PREFIX = "/api/v1/tiny"


@dataclass
class Served:
    """A started service, whose model loads until `load` is called."""

    port: int
    folder: Path

    def get(self, path: str, **headers: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", headers=headers, timeout=60, trust_env=False)

    def answer(self, path: str, *statuses: int) -> httpx.Response:
        """The first answer with one of these statuses."""
        limit = time.monotonic() + HANG_SECONDS
        while time.monotonic() < limit:
            try:
                if (answer := self.get(path)).status_code in statuses:
                    return answer
            except httpx.ConnectError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"{path} never answered {statuses}:\n{self.log()}")

    def load(self) -> None:
        (self.folder / "loaded").touch()

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8")

    def lines(self) -> list[dict[str, Any]]:
        """Lines of the log that are JSON, as all must be that our processes write after their first seconds."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(free_port(), tmp_path_factory.mktemp("tiny"))
    environment = watched_environment() | {
        "BENTOML_CONTAINERIZED": "true", "BENTOML_HOME": str(served.folder / "bentoml"), "BENTOML_DO_NOT_TRACK": "true",
        LOADED: str(served.folder / "loaded"), "PYTHONPATH": str(repo_root()),
    }  # fmt: skip
    command = watched("bentoml", "serve", "tests.bentos.serving.tiny_service:Tiny", "--port", str(served.port))
    with (served.folder / "log").open("ab") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1"], stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=repo_root(),
            start_new_session=True,
        )  # fmt: skip
    yield served
    stop(server)


@pytest.fixture(scope="module")
def loading(starting: Served) -> tuple[httpx.Response, httpx.Response]:
    """Answers of `/health` and `/readyz` while the model loads."""
    return starting.answer(f"{PREFIX}/health", 200, 503), starting.answer("/readyz", 200, 503)


@pytest.fixture(scope="module")
def served(starting: Served, loading: tuple[httpx.Response, httpx.Response]) -> Served:
    assert loading, "asked before the model may load"
    starting.load()
    starting.answer(f"{PREFIX}/health", 200)
    return starting


def test_health_and_readiness_say_at_once_that_the_model_is_being_loaded(
    loading: tuple[httpx.Response, httpx.Response],
) -> None:
    health, ready = loading
    assert (health.status_code, ready.status_code) == (503, 503)
    body = health.json()
    assert (body["state"], body["error"]["code"]) == ("live", "not_ready")
    assert body["reasons"] == ["the process with the model is being loaded"]
    assert health.headers["retry-after"]


def test_a_service_that_is_ready_says_so(served: Served) -> None:
    health = served.answer(f"{PREFIX}/health", 200).json()
    assert (health["state"], health["reasons"], health["profile"]) == ("ready", [], "sample")
    assert served.answer("/readyz", 200)
    assert served.answer("/livez", 200)


def test_a_runner_that_died_is_replaced_in_a_container_too(served: Served) -> None:
    killed = served.get(f"{PREFIX}/health").json()["model"]["version"]
    (served.folder / "loaded").unlink()
    os.kill(int(killed), signal.SIGKILL)
    lost = served.answer(f"{PREFIX}/health", 503).json()
    assert lost["state"] == "live"
    assert lost["reasons"]
    assert served.answer("/readyz", 503)
    assert served.answer("/livez", 200)
    served.load()
    assert served.answer(f"{PREFIX}/health", 200).json()["model"]["version"] != killed


def test_metrics_have_a_series_per_route_however_many_paths_are_asked_for(served: Served) -> None:
    for number in range(200):
        assert served.get(f"{PREFIX}/random-{number}").status_code == 404
        assert served.get(f"/random-{number}").status_code == 404
    assert served.get(f"{PREFIX}/work").status_code == 200
    metrics = served.get("/metrics").text
    assert "random-" not in metrics
    assert f'aura_requests_total{{method="GET",route="{PREFIX}/{{path:path}}",status="404"}} 200.0' in metrics
    assert f'aura_requests_total{{method="GET",route="{PREFIX}/work",status="200"}}' in metrics
    assert f'aura_request_seconds_count{{route="{PREFIX}/work"}}' in metrics
    assert 'runner_name="tiny_model"' in metrics, "the runner's own are there too"


def test_both_parts_log_json_lines_with_the_request_id(served: Served) -> None:
    assert served.get(f"{PREFIX}/work", **{"x-request-id": "abc-1"}).status_code == 200
    # The line of the request is written after its answer has left.
    limit = time.monotonic() + 120
    while len(about := [line for line in served.lines() if line["request_id"] == "abc-1"]) < 2:
        assert time.monotonic() < limit, served.lines()
        time.sleep(0.1)
    assert {line["message"] for line in about} == {"RunnerRequest answered", f"GET {PREFIX}/work 200"}
    assert len({line["process"] for line in about}) == 2
    assert {(line["level"], line["logger"]) for line in about} == {("INFO", "aura.services")}
    [access] = [line for line in about if "route" in line]
    assert (access["method"], access["route"], access["status"]) == ("GET", f"{PREFIX}/work", 200)
    assert access["milliseconds"] > 0


def test_a_health_check_leaves_no_line(served: Served) -> None:
    assert served.get(f"{PREFIX}/health", **{"x-request-id": "abc-2"}).status_code == 200
    assert not [line for line in served.lines() if line["request_id"] == "abc-2"]
    assert not [line for line in served.lines() if "/health" in line["message"]], "nor one while the model loads"
