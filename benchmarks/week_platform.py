"""What a week runs on: a Prefect server with the schedules, a worker, clients, and a look at processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil

from aura.paths import home, repo_root
from aura.supervision import family_of
from benchmarks.client_threads import ClientThreads
from benchmarks.hostile import Good
from flows.platform.schedule import make_schedule
from flows.prefect_server import api_url, server_command, server_environment
from flows.processes import free_port, stop, wait_until_healthy

_START_SECONDS = 300.0
_AHEAD_SECONDS = 45.0
"""Between a change of the schedule and the minute that it names: the scheduler and the worker look every few seconds."""
_ENDS_SECONDS = 30.0
"""For what a night has started to be gone."""
_PAUSE_SECONDS = 2.0
"""Between two requests of a client."""


class Scheduled:
    """A Prefect server with the schedules of `prefect.yaml`, and a worker.

    Attributes:
        pids: of the server and the worker.
    """

    def __init__(self, api: str, pids: Sequence[int]) -> None:
        self._api, self.pids = api, pids

    def aura(self, *arguments: str) -> None:
        """Run a command of `aura` against the server."""
        command = [sys.executable, "-m", "flows.cli.app", *arguments]
        subprocess.run(command, env=_environment(self._api), cwd=repo_root(), check=True)

    def run(self, name: str, overrides: Sequence[str], variables: Mapping[str, str], seconds: float) -> dict[str, Any]:
        """Let the deployment's daily schedule come due at the next minute; returns the run when it has ended.

        Raises:
            TimeoutError: it has not ended in time.
        """
        deployment = self._ask("GET", f"deployments/name/{name}/{name}")
        change = {
            "parameters": {"profile": "sample", "overrides": list(overrides)},
            "job_variables": {"env": dict(variables)},
        }
        self._ask("PATCH", f"deployments/{deployment['id']}", json=change)
        due = (datetime.now(UTC) + timedelta(seconds=_AHEAD_SECONDS + 60)).replace(second=0, microsecond=0)
        schedule = {"cron": f"{due.minute} {due.hour} * * *", "timezone": "Etc/UTC"}
        (known,) = deployment["schedules"]
        url = f"deployments/{deployment['id']}/schedules/{known['id']}"
        self._ask("PATCH", url, json={"schedule": schedule})
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            ended = [run for run in self.runs(name) if run["end_time"] and _moment(run) >= due]
            if ended:
                return ended[0]
            time.sleep(2)
        raise TimeoutError(f"{name} was due at {due:%H:%M} and has not ended: {self.states(name)}")

    def runs(self, name: str) -> list[dict[str, Any]]:
        """Runs of a deployment that were due already."""
        query = {
            "deployments": {"name": {"any_": [name]}},
            "flow_runs": {"expected_start_time": {"before_": datetime.now(UTC).isoformat()}},
        }
        found: list[dict[str, Any]] = self._ask("POST", "flow_runs/filter", json=query)
        return found

    def states(self, name: str) -> Counter[str]:
        """How the runs that were due have ended."""
        return Counter(run["state_type"] for run in self.runs(name))

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        """What the server answers; while its database is locked it says 503."""
        for _ in range(30):
            response = httpx.request(method, f"{self._api}/{path}", timeout=60, trust_env=False, **content)
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(1)
        response.raise_for_status()
        return response.json() if response.content else None


def _moment(run: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(run["expected_start_time"])


def _environment(api: str) -> dict[str, str]:
    return os.environ | {
        "PREFECT_API_URL": api, "PREFECT_HOME": str(home() / "prefect"), "DO_NOT_TRACK": "1",
        "AURA_REPOSITORY": str(repo_root()), "PYTHONPATH": str(repo_root()),
    }  # fmt: skip


@contextmanager
def scheduled() -> Iterator[Scheduled]:
    """The server and the worker of this home, as `aura up` starts them."""
    port = free_port()
    logs = home() / "logs" / "up"
    logs.mkdir(parents=True)
    with (logs / "prefect.log").open("ab") as server_log, (logs / "worker.log").open("ab") as worker_log:
        server = subprocess.Popen(
            server_command(port), env=server_environment(port), stdout=server_log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            wait_until_healthy(f"{api_url(port)}/health", server, logs / "prefect.log", _START_SECONDS)
            make_schedule(api_url(port), "sample")
            worker = subprocess.Popen(
                [sys.executable, "-m", "flows.cli.app", "worker"], env=_environment(api_url(port)), cwd=repo_root(),
                stdout=worker_log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
            try:
                yield Scheduled(api_url(port), (server.pid, worker.pid))
            finally:
                stop(worker)
        finally:
            stop(server)


class CountedClients(ClientThreads):
    """Clients that ask something new every other second.

    Attributes:
        answers: how many were given, by status or by the error's name.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        super().__init__(urls)
        self.answers: Counter[str] = Counter()

    def ask(self, url: str, name: str, good: Good) -> None:
        with httpx.Client(base_url=url, timeout=120, trust_env=False) as client:
            number = 0
            while not self.ended.wait(_PAUSE_SECONDS):
                number += 1
                try:
                    self.answers[str(good(client, number).status_code)] += 1
                except httpx.HTTPError as error:
                    self.answers[type(error).__name__] += 1


def left_over(known: Sequence[int], place: Path) -> list[str]:
    """Processes of a home that belong to none of the known ones, and zombies below this one; they have a while to end."""
    limit = time.monotonic() + _ENDS_SECONDS
    while (found := _strangers(known, place)) and time.monotonic() < limit:
        time.sleep(1)
    return found


def _strangers(known: Sequence[int], place: Path) -> list[str]:
    ours = {process.pid for pid in known for process in family_of(pid)} | {os.getpid()}
    below = {process.pid for process in psutil.Process().children(recursive=True)}
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.pid in below and process.status() == psutil.STATUS_ZOMBIE:
                found.append(f"zombie {process.name()}")
            elif process.pid not in ours and process.environ().get("AURA_HOME") == str(place):
                found.append(" ".join(process.cmdline())[:200])
    return found
