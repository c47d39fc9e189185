"""A served service as an operator sees it: while its model loads, when its runner dies, its metrics and its log.

It runs as in BentoML's images, which set `BENTOML_CONTAINERIZED`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from flows.processes import free_port, stop
from tests.bentos.serving.served_tiny import HANG_SECONDS, PREFIX, Served, serving

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("tiny"), BENTOML_CONTAINERIZED="true") as served:
        yield served


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
    assert body["reasons"] == [
        "the process with the model is being loaded; before the first night it waits for a model"
    ]
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


def sample(metrics: str, series: str, /, **labels: str) -> float:
    """Value of a series as `/metrics` shows it."""
    wanted = series + ("{" + ",".join(f'{key}="{labels[key]}"' for key in sorted(labels)) + "}" if labels else "")
    [value] = [line.rpartition(" ")[2] for line in metrics.splitlines() if line.rpartition(" ")[0] == wanted]
    return float(value)


def test_metrics_of_both_parts_stand_together(served: Served) -> None:
    def counted(name: str) -> float:
        return sample(served.get("/metrics").text, name, method="work")

    for _ in range(3):
        assert served.get(f"{PREFIX}/work").status_code == 200
    before = counted("aura_inference_seconds_count")
    assert served.get(f"{PREFIX}/work").status_code == 200
    for name in ("aura_inference_seconds", "aura_queue_seconds", "aura_batch_size"):
        assert counted(f"{name}_count") == before + 1
    assert counted("aura_batch_size_sum") == before + 1, "one request per batch"
    assert counted("aura_queue_depth") == 0, "what the service counts up, it and the runner count down"
    version = served.get(f"{PREFIX}/health").json()["model"]["version"]
    metrics = served.get("/metrics").text
    assert sample(metrics, "aura_release_info", release="1", name="tiny", version=version) == 1


def test_an_error_is_counted_by_its_code(served: Served) -> None:
    def refused() -> float:
        return sample(served.get("/metrics").text, "aura_errors_total", code="not_found")

    assert served.get(f"{PREFIX}/nothing").status_code == 404
    before = refused()
    assert served.get(f"{PREFIX}/nothing").status_code == 404
    assert refused() == before + 1


def test_promtool_finds_nothing_wrong_with_our_metrics(served: Served) -> None:
    metrics = served.get("/metrics").text
    checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, text=True)
    ours = [line for line in (checked.stdout + checked.stderr).splitlines() if "bentoml_" not in line]
    assert checked.returncode in (0, 3), checked.stderr  # 3: it read them, and likes other names better
    assert ours == []


def test_a_prometheus_scrapes_both_parts(served: Served, tmp_path: Path) -> None:
    assert shutil.which("prometheus"), "Debian's package prometheus has promtool and the server"
    port = free_port()
    (tmp_path / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs: [{{job_name: tiny, static_configs: [{{targets: ['127.0.0.1:{served.port}']}}]}}]\n"
    )
    prometheus = subprocess.Popen(
        [
            "prometheus", f"--config.file={tmp_path / 'prometheus.yml'}", f"--storage.tsdb.path={tmp_path / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip

    def found(query: str) -> list[str]:
        try:
            answer = httpx.get(
                f"http://127.0.0.1:{port}/api/v1/query", params={"query": query}, trust_env=False, timeout=60
            )
            return [series["value"][1] for series in answer.json()["data"]["result"]] if answer.is_success else []
        except httpx.HTTPError:
            return []

    try:
        limit = time.monotonic() + HANG_SECONDS
        while not (
            found("up{job='tiny'} == 1") and found("aura_inference_seconds_count > 0") and found("aura_requests_total")
        ):
            assert time.monotonic() < limit, found("up")
            time.sleep(0.2)
    finally:
        stop(prometheus)


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


def test_lines_of_a_stream_carry_the_id_of_its_request_beside_other_streams(served: Served) -> None:
    ids = [f"stream-{number}" for number in range(4)]
    with ThreadPoolExecutor(len(ids)) as callers:
        answers = [*callers.map(lambda name: served.get(f"{PREFIX}/stream", **{"x-request-id": name}), ids)]
    assert [answer.json() for answer in answers] == ["ab"] * len(ids)
    limit = time.monotonic() + HANG_SECONDS
    wanted = {(name, f"streamed {piece}") for name in ids for piece in "ab"}
    while not wanted <= (said := {(line["request_id"], line["message"]) for line in served.lines()}):
        assert time.monotonic() < limit, said
        time.sleep(0.1)
    streamed = [line["request_id"] for line in served.lines() if line["message"].startswith("streamed")]
    assert sorted(streamed) == sorted(ids * 2)


def test_a_health_check_leaves_no_line(served: Served) -> None:
    assert served.get(f"{PREFIX}/health", **{"x-request-id": "abc-2"}).status_code == 200
    assert not [line for line in served.lines() if line["request_id"] == "abc-2"]
    assert not [line for line in served.lines() if "/health" in line["message"]], "nor one while the model loads"
