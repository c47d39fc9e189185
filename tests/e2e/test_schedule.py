"""The schedule: `prefect.yaml` deployed to a real server, and a worker that runs the night it asks for."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from aura.paths import repo_root
from aura.supervision import watched, watched_environment
from flows.servers import free_port, stop, wait_until_healthy
from tests.e2e.conftest import Nights, World

pytestmark = pytest.mark.exhaustive


@pytest.fixture(scope="module")
def api(nights: Nights) -> Iterator[str]:
    """URL of a Prefect server."""
    world, port = nights.world, free_port()
    url, log = f"http://127.0.0.1:{port}/api", world.home / "schedule-server.log"
    environment = watched_environment() | {"PREFECT_HOME": str(world.home / "prefect-schedule"), "DO_NOT_TRACK": "1"}
    command = watched("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    with log.open("w", encoding="utf-8") as stream:
        server = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env=environment
        )
    wait_until_healthy(f"{url}/health", server, log, 90)
    yield url
    stop(server)


def prefect(world: World, api: str, *arguments: str) -> str:
    environment = world.environment | {
        "PREFECT_API_URL": api, "PREFECT_HOME": str(world.home / "prefect-schedule"), "DO_NOT_TRACK": "1",
        "AURA_REPOSITORY": str(repo_root()),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        env=environment, cwd=repo_root(), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_worker_runs_the_night_that_the_schedule_asks_for(nights: Nights, api: str) -> None:
    world = nights.world
    prefect(world, api, "work-pool", "create", "nights", "--type", "process")
    prefect(world, api, "deploy", "--name", "nightly")
    deployment = httpx.get(f"{api}/deployments/name/nightly/nightly").raise_for_status().json()
    assert [one["schedule"]["cron"] for one in deployment["schedules"]] == ["0 2 * * *"]
    assert deployment["parameters"]["profile"] == "sample"
    prefect(world, api, "deployment", "run", "nightly/nightly", "--params", json.dumps({"overrides": world.settings}))
    prefect(world, api, "worker", "start", "--pool", "nights", "--run-once")
    runs = httpx.post(f"{api}/flow_runs/filter", json={"flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}})
    assert [one["name"].split()[0] for one in runs.raise_for_status().json()] == ["sample"]
    report = httpx.get(f"{api}/artifacts/nightly-sample/latest").raise_for_status().json()["data"]
    assert "nothing to do" in report
