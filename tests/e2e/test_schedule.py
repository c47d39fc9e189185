"""A scheduled night: `prefect.yaml` deployed to a real server with a cron of every minute, and a worker.

Nothing here starts a run but the schedule. Then: who hears of a night that failed, and of one that did not come.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import psutil
import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from aura.errors import StartError
from aura.paths import repo_root
from aura.supervision import end_by_force, family_of, watched, watched_environment
from benchmarks.webhook import Webhook
from flows.alerts import FAILED, MAINTENANCE_FAILED, MISSING
from flows.processes import free_port, stop, wait_until_healthy
from flows.worker import end_dead_runs
from tests.e2e.conftest import Nights, World

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
_WAIT_SECONDS = 900


class Server:
    """A Prefect server as systemd would keep it: it can be killed, and started again where it was."""

    def __init__(self, world: World) -> None:
        self._world, self._port = world, free_port()
        self.url = f"http://127.0.0.1:{self._port}/api"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        log = self._world.home / "schedule-server.log"
        unit = (repo_root() / "deploy" / "systemd" / "aura-prefect-server.service").read_text(encoding="utf-8")
        storage = re.findall(r"^Environment=(PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE)=(\S+)$", unit, re.MULTILINE)
        variables = watched_environment() | dict(storage)
        variables |= {"PREFECT_HOME": str(self._world.home / "prefect-schedule"), "DO_NOT_TRACK": "1"}
        command = watched("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port))
        with log.open("a", encoding="utf-8") as stream:
            self._process = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env=variables
            )
        wait_until_healthy(f"{self.url}/health", self._process, log, 300)

    def kill(self) -> None:
        assert self._process is not None
        for process in family_of(self._process.pid):
            process.kill()
        self._process.wait()

    def stop(self) -> None:
        assert self._process is not None
        stop(self._process)


@pytest.fixture(scope="module")
def server(nights: Nights) -> Iterator[Server]:
    made = Server(nights.world)
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def api(server: Server) -> str:
    return server.url


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    made = Webhook()
    yield made
    made.close()


def environment(world: World, api: str) -> dict[str, str]:
    return world.environment | {
        "PREFECT_API_URL": api, "PREFECT_HOME": str(world.home / "prefect-schedule"), "DO_NOT_TRACK": "1",
        "AURA_REPOSITORY": str(repo_root()),
    }  # fmt: skip


def prefect(world: World, api: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        env=environment(world, api), cwd=repo_root(), capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def worker(world: World, api: str, **variables: str) -> Iterator[None]:
    """A worker as systemd would keep it."""
    process = start_worker(world, api, **variables)
    try:
        yield
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)
        end_by_force(family, after_seconds=60)


def start_worker(world: World, api: str, **variables: str) -> subprocess.Popen[bytes]:
    with (world.home / "schedule-worker.log").open("a", encoding="utf-8") as stream:
        # As with `nohup aura worker &` in a script, whose background processes ignore SIGINT.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            return subprocess.Popen(
                world.command("worker", settings=False), env=environment(world, api) | variables, cwd=repo_root(),
                stdout=stream, stderr=subprocess.STDOUT,
            )  # fmt: skip
        finally:
            signal.signal(signal.SIGINT, before)


def eventually(what: str, found: Callable[[], Any]) -> Any:
    limit = time.monotonic() + _WAIT_SECONDS
    while not (value := found()):
        assert time.monotonic() < limit, f"waited {_WAIT_SECONDS} s for {what}"
        time.sleep(0.5)
    return value


def ask_server(method: str, url: str, **content: Any) -> Any:
    """What the server answers. While its database is locked it says 503, and Prefect's own client asks again."""

    def answer() -> httpx.Response | None:
        response = httpx.request(method, url, timeout=60, **content)
        return None if response.status_code == httpx.codes.SERVICE_UNAVAILABLE else response

    response: httpx.Response = eventually(f"an answer of {url}", answer)
    response.raise_for_status()
    return response.json() if response.content else None


def runs(api: str, *states: str) -> list[dict[str, Any]]:
    filters = {"flow_runs": {"state": {"type": {"any_": list(states)}}}}
    found: list[dict[str, Any]] = ask_server("POST", f"{api}/flow_runs/filter", json=filters)
    return found


def change_schedule(api: str, change: dict[str, Any], name: str = "nightly") -> None:
    deployment = ask_server("GET", f"{api}/deployments/name/{name}/{name}")
    (schedule,) = deployment["schedules"]
    url = f"{api}/deployments/{deployment['id']}/schedules/{schedule['id']}"
    ask_server("PATCH", url, json=change)


def test_the_file_deploys_one_night_at_two_o_clock_and_never_two_at_once(nights: Nights, api: str) -> None:
    prefect(nights.world, api, "work-pool", "create", "nights", "--type", "process")
    prefect(nights.world, api, "deploy", "--name", "nightly")
    deployment = ask_server("GET", f"{api}/deployments/name/nightly/nightly")
    assert [schedule["schedule"]["cron"] for schedule in deployment["schedules"]] == ["0 2 * * *"]
    assert deployment["parameters"]["profile"] == "sample"
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    prefect(nights.world, api, "deploy", "--name", "maintenance")
    maintenance = ask_server("GET", f"{api}/deployments/name/maintenance/maintenance")
    assert [schedule["schedule"]["cron"] for schedule in maintenance["schedules"]] == ["0 12 * * 0"], "once a week"
    change_schedule(api, {"active": False}, "maintenance")  # these tests may run on a Sunday at noon


def test_the_schedule_makes_a_night_and_a_worker_runs_it_to_its_end(nights: Nights, api: str, webhook: Webhook) -> None:
    world = nights.world
    latest = world.home / "reports" / "sample" / "result.json"
    before = json.loads(latest.read_text(encoding="utf-8"))
    parameters = json.dumps({"profile": "sample", "overrides": world.settings})
    prefect(world, api, "deploy", "--name", "nightly", "--params", parameters)
    change_schedule(api, {"schedule": {"cron": "* * * * *", "timezone": "Etc/UTC"}})
    scheduled = eventually("a run in state Scheduled", lambda: runs(api, "SCHEDULED"))
    assert all(run["auto_scheduled"] for run in scheduled)
    with worker(world, api, AURA_NIGHT__HEARTBEAT_URL=webhook.url):
        (done, *_) = eventually("a run in state Completed", lambda: runs(api, "COMPLETED"))
        change_schedule(api, {"active": False})
    assert done["auto_scheduled"]
    assert done["name"].split()[0] == "sample"
    assert runs(api, "FAILED", "CRASHED") == []
    report = ask_server("GET", f"{api}/artifacts/nightly-sample/latest")["data"]
    assert "nothing to do" in report
    result = json.loads(latest.read_text(encoding="utf-8"))
    assert (result["good"], result["problems"], result["profile"]) == (True, {}, "sample")
    assert result["started"] > before["started"]
    assert result["flow_run_id"] in {run["id"] for run in runs(api, "COMPLETED")}
    assert webhook.calls, "the dead-man's switch was not called"


def test_nights_go_on_after_the_machine_lost_its_power_in_the_middle_of_one(
    nights: Nights, api: str, server: Server
) -> None:
    world = nights.world
    already = {run["id"] for run in runs(api, "COMPLETED")}
    change_schedule(api, {"active": True})
    process = start_worker(world, api)
    (dead, *_) = eventually("a run in state Running", lambda: runs(api, "RUNNING"))
    end_by_force(family_of(process.pid), after_seconds=0)
    process.wait()
    server.kill()
    server.start()
    with worker(world, api):
        eventually(
            "a night after the power cut",
            lambda: {run["id"] for run in runs(api, "COMPLETED")} - already - {dead["id"]},
        )
        change_schedule(api, {"active": False})
    assert dead["id"] in {run["id"] for run in runs(api, "CRASHED")}


def alerts(world: World, api: str, url: str, within_hours: float) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*world.command("alerts", settings=False), "--url", url, "--within-hours", str(within_hours)],
        env=environment(world, api), cwd=repo_root(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip


def test_a_night_that_does_not_come_and_one_that_fails_are_told(nights: Nights, api: str, webhook: Webhook) -> None:
    world = nights.world
    done = alerts(world, api, webhook.url, within_hours=11 / 3600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [f"set up: {name}" for name in (FAILED, MISSING, MAINTENANCE_FAILED)]
    eventually(
        "the message of a missing night", lambda: [text for text in webhook.messages if text.startswith(MISSING)]
    )
    # Set up again, they take the place of those before: an hour without a night is no alarm any more.
    assert alerts(world, api, webhook.url, within_hours=26).returncode == 0
    known = ask_server("POST", f"{api}/automations/filter", json={})
    assert sorted(automation["name"] for automation in known) == sorted([MISSING, FAILED, MAINTENANCE_FAILED])
    no_data = json.dumps({"profile": "ccp", "overrides": []})
    prefect(world, api, "deployment", "run", "nightly/nightly", "--params", no_data)
    with worker(world, api):
        (message, *_) = eventually(
            "the message of a failed night", lambda: [text for text in webhook.messages if text.startswith(FAILED)]
        )
    assert "ccp" in message
    assert "the night ended with problems in: prepare" in message


def test_alerts_without_a_server_say_where_they_come_from(world: World) -> None:
    kept = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    done = subprocess.run(
        [*world.command("alerts", settings=False), "--url", "http://127.0.0.1:9"],
        env=kept, cwd=repo_root(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 2
    assert "PREFECT_API_URL is not set" in done.stderr


def test_a_worker_without_a_server_says_so_in_words(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.worker._SERVER_SECONDS", 2.0)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        with pytest.raises(StartError, match=r"no Prefect server answers at http://127\.0\.0\.1:9/api") as caught:
            end_dead_runs()
    assert "prefect server start" in caught.value.hint
    without = {name: value for name, value in world.environment.items() if name != "PREFECT_API_URL"}
    done = subprocess.run(
        world.command("worker", settings=False),
        env=without,
        cwd=repo_root(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, "PREFECT_API_URL is not set" in done.stderr) == (2, True)
