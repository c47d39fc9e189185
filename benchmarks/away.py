"""MLflow and Redis are killed and frozen, one after the other, while callers ask the services: what do they see?

    python -m benchmarks.away [--profile sample] [--seconds 15] [--page docs/benchmarks/away.md]

Starts an MLflow server for the registry of this home, a Redis and the services of the profile, all on free ports. Nothing is
started again but the server that was ended.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
from redis import Redis
from redis.exceptions import RedisError

from aura.artifact import write_text
from aura.paths import repo_root
from aura.settings import read_profile, validate
from aura.supervision import watched, watched_environment
from aura.tracking import TrackingSettings, tracking_uri
from benchmarks.client_threads import ClientThreads
from benchmarks.hostile import Good
from benchmarks.running_services import served
from flows.processes import free_port, stop
from flows.services import SERVICES

_QUESTIONS = 40
"""Different ones per service; each is asked again and again, so that some answers come from the cache."""
_ALL_SECONDS = 120.0
"""Limit for a server that was ended to answer again, and for the services to be ready."""


@dataclass
class Outside:
    """A server that the services use: MLflow's, or Redis."""

    name: str
    command: Sequence[str]
    answers: Callable[[], bool]
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        if self.process is not None:
            self.process.wait()  # it was killed
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
            env=watched_environment() | self.environment,
        )  # fmt: skip
        limit = time.monotonic() + _ALL_SECONDS
        while not self.answers():
            if time.monotonic() > limit:
                raise TimeoutError(f"{self.name} does not answer")
            time.sleep(0.1)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server and all of its processes."""
        assert self.process is not None, "it was started"
        os.killpg(self.process.pid, number)

    def thaw(self) -> None:
        self.send(signal.SIGCONT)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.thaw()
            stop(self.process)


@dataclass(kw_only=True)
class Phase:
    """What callers and operators saw while something was so."""

    what: str
    milliseconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)
    ready_after: float | None = None
    """Seconds from the return of the server until every service was ready."""


class SteadyClients(ClientThreads):
    """Clients that ask as fast as they are answered."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        super().__init__(urls)
        self.phase = Phase(what="")

    def ask(self, url: str, name: str, good: Good) -> None:
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            for number in itertools.count():
                if self.ended.is_set():
                    return
                phase, began = self.phase, time.perf_counter()
                try:
                    good(client, number % _QUESTIONS).raise_for_status()
                except httpx.HTTPError as error:
                    phase.failures.append(f"{name}: {error}")
                phase.milliseconds.append(1000 * (time.perf_counter() - began))

    def reasons(self) -> set[str]:
        """What the services answer without, or that one does not answer."""
        found: set[str] = set()
        for name, url in self.urls.items():
            health = httpx.get(SERVICES[name].health_url(url), timeout=10, trust_env=False).json()
            found |= set(health["reasons"])
        return found

    def spend(self, what: str, seconds: float) -> Phase:
        phase = self.phase = Phase(what=what)
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            phase.reasons |= self.reasons()
            time.sleep(0.5)
        return phase


def measure(urls: Mapping[str, str], servers: Sequence[Outside], seconds: float) -> list[Phase]:
    """Clients all the time; each server is killed and started again, then frozen and thawed."""
    phases = []
    with SteadyClients(urls) as clients:
        clients.spend("warming up", seconds)
        phases.append(clients.spend("all is there", seconds))
        for server in servers:
            ways = (
                ("killed", signal.SIGKILL, server.start),
                ("frozen", signal.SIGSTOP, server.thaw),
            )
            for name, number, come_back in ways:
                server.send(number)
                phase = clients.spend(f"{server.name} is {name}", seconds)
                come_back()
                came = time.monotonic()
                while clients.reasons():
                    if time.monotonic() - came > _ALL_SECONDS:
                        break
                    time.sleep(0.1)
                else:
                    phase.ready_after = time.monotonic() - came
                phases.append(phase)
    return phases


@contextmanager
def outside(profile: str, folder: Path) -> Iterator[tuple[Outside, Outside, dict[str, str], str]]:
    """MLflow and Redis, running; the environment and the setting that lead the services there."""
    tracking = validate(TrackingSettings, read_profile(profile).get("tracking"), "tracking")
    mlflow_port, redis_port = free_port(), free_port()
    page = ("mlflow", "server", "--app-name", "aura", "--workers", "1", "--backend-store-uri", tracking_uri(tracking))
    mlflow = Outside(
        "MLflow", watched(*page, "--host", "127.0.0.1", "--port", str(mlflow_port)),
        lambda: _answers(f"http://127.0.0.1:{mlflow_port}/health"),
        {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "1"},
    )  # fmt: skip
    url = f"redis://127.0.0.1:{redis_port}/0"
    command = ("redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder))
    redis = Outside("Redis", command, lambda: _pings(url))
    try:
        for server in (mlflow, redis):
            server.start()
        yield mlflow, redis, {"AURA_REDIS_URL": url}, f"tracking.uri=http://127.0.0.1:{mlflow_port}"
    finally:
        for server in (mlflow, redis):
            server.end()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def _pings(url: str) -> bool:
    with Redis.from_url(url, socket_timeout=2) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


def page(phases: Sequence[Phase], seconds: float, hardware: str) -> str:
    lines = [
        "# MLflow and Redis away, measured", "",
        f"Written by `make bench-away` ({hardware}). One caller per service asks {_QUESTIONS} different "
        f"questions again and again; each state lasts {seconds:.0f} seconds and until all is ready again. "
        f"Only the server that was ended is started again.",
        "",
        "| | answers | failed | p50 and p99, ms | health says | ready, seconds after it is back |",
        "|---|---|---|---|---|---|",
        *map(_row, phases),
    ]  # fmt: skip
    failures = [f"- {phase.what}: {failure}" for phase in phases for failure in phase.failures[:5]]
    return "\n".join([*lines, *(["", "Failed:", "", *failures] if failures else [])]) + "\n"


def _row(phase: Phase) -> str:
    fast, slow = np.percentile(phase.milliseconds, (50, 99))
    after = "" if phase.what == "all is there" else "never" if phase.ready_after is None else f"{phase.ready_after:.1f}"
    cells = (
        phase.what, len(phase.milliseconds), len(phase.failures), f"{fast:.0f} and {slow:.0f}",
        "; ".join(sorted(phase.reasons)) or "ready", after,
    )  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.away", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default="sample")
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "away.md")
    options = parser.parse_args(arguments)
    hardware = f"{os.cpu_count()} cores, CPU; load average before it began: {os.getloadavg()[1]:.1f}"
    with tempfile.TemporaryDirectory(prefix="aura-away-") as folder:
        with outside(options.profile, Path(folder)) as (mlflow, redis, environment, setting):
            with served(options.profile, environment, setting) as (urls, _):
                phases = measure(urls, (redis, mlflow), options.seconds)
    print("\n".join(map(_row, phases)))
    write_text(options.page, page(phases, options.seconds, hardware))
    print(options.page)
    return int(any(phase.failures for phase in phases))


if __name__ == "__main__":
    raise SystemExit(main())
