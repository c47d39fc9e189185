"""Releases that change under load: does an answer fail, mix two releases or name an id that another service does not know?

    python -m benchmarks.switches [--home FOLDER] [--work FOLDER] [--switches 50] [--clients 16] [--seconds 600]
                                  [--port 18100] [--page docs/benchmarks/switches.md]

The three services run as `aura serve` starts them, on a copy of a home that a night has trained. A model is promoted and rolled
back, which is another load of its version; then the index is rolled back; then a broken version is promoted, whose weights are
zero: its service must refuse it and say so, and the switch after it goes back.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil

from aura.artifact import write_text
from aura.paths import home, profile_paths, repo_root
from aura.releases import Release, Releases
from aura.supervision import watched, watched_environment
from benchmarks.served import lasting
from benchmarks.switch_home import FOLLOWING, SwitchHome, copy_home, promote, set_up
from benchmarks.switch_load import Clients, Seen
from flows.processes import stop, wait_until_healthy
from flows.profile import load_profile
from flows.releases import go_back, make_release
from inference.retrieval.releases import rollback
from training.models import MODELS

PROFILE = "sample"
_KINDS = ("promote", "rollback", "index rollback", "broken", "back from broken")
_SETTLE_SECONDS = 20.0
"""After the last switch, before memory is read: what served before is kept for a while."""
_SEEN_SECONDS = 300.0
"""Time limit for a switch to be seen."""
_ANSWER_SECONDS = 110  # the clients wait a little longer
_START_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Switch:
    """One switch.

    Attributes:
        kind: of `_KINDS`.
        seconds: from the return of the command until every service answered from it (a broken one: had refused it).
    """

    kind: str
    release: Release
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """What was measured.

    Attributes:
        memory_mb: service to resident memory of its processes before the first switch, at most, and in the end.
        ended: processes that ended while the switches were made.
    """

    switches: list[Switch]
    seen: Seen
    releases: dict[str, Release]
    memory_mb: dict[str, tuple[float, float, float]]
    ended: int
    seconds: float
    clients: int


def measure(
    prepared: SwitchHome, ports: dict[str, int], work: Path, switches: int, clients: int, seconds: float
) -> Result:
    """Switch at even intervals while clients ask."""
    with _services(ports, work) as (processes, urls):
        return asyncio.run(_measure(prepared, processes, urls, switches, clients, seconds))


async def _measure(
    prepared: SwitchHome, server: psutil.Process, urls: dict[str, str], switches: int, clients: int, seconds: float
) -> Result:
    asking, enough = Clients(urls, clients), asyncio.Event()
    load = asyncio.ensure_future(asking.run(enough))
    warm = min(60.0, seconds / 10)
    await asyncio.sleep(warm)
    before, began = _memory(server), time.monotonic()
    most = dict(before)
    running = lasting(server.children(recursive=True))
    done = []
    for number in range(switches):
        done.append(await asyncio.to_thread(_switch, prepared, number, urls))
        for name, value in _memory(server).items():
            most[name] = max(most[name], value)
        await asyncio.sleep(max(0.0, began + (number + 1) * seconds / switches - time.monotonic()))
    took = time.monotonic() - began
    await asyncio.sleep(_SETTLE_SECONDS)
    after = _memory(server)
    enough.set()
    await load
    ended = running - lasting(server.children(recursive=True))
    known = {str(release.number): release for release in Releases(prepared.registry).all()}
    return Result(
        switches=done, seen=asking.seen, releases=known, ended=len(ended), seconds=took, clients=clients,
        memory_mb={name: (before[name], most[name], after[name]) for name in before},
    )  # fmt: skip


def _switch(prepared: SwitchHome, number: int, urls: dict[str, str]) -> Switch:
    kind = _KINDS[number % len(_KINDS)]
    model = list(MODELS)[number // len(_KINDS) % len(MODELS)]
    if kind == "promote":
        serving = prepared.registry.champions()[model]
        other = next(version for version in prepared.versions[model] if version != serving)
        release = promote(prepared, model, other, f"{model} promoted")
    elif kind == "broken":
        release = promote(prepared, model, prepared.broken[model], f"a broken version of {model}")
    elif kind in ("rollback", "back from broken"):
        release = go_back(prepared.registry, prepared.index)
    else:
        rollback(prepared.index)
        release = make_release(prepared.registry, prepared.index, "the index was rolled back")
    began = time.monotonic()
    refusing = {name for name, service in FOLLOWING.items() if kind == "broken" and model in service.models}
    with httpx.Client(timeout=10, trust_env=False) as client:
        for name, url in urls.items():
            _until(_refused if name in refusing else _answers, client, f"{url}/health", release, name)
    return Switch(kind=kind, release=release, seconds=time.monotonic() - began)


def _until(
    seen: Callable[[dict[str, object], Release], bool], client: httpx.Client, url: str, release: Release, name: str
) -> None:
    deadline = time.monotonic() + _SEEN_SECONDS
    while not seen(client.get(url).json(), release):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} has not seen {release} within {_SEEN_SECONDS:.0f} seconds")
        time.sleep(0.1)


def _answers(health: dict[str, object], release: Release) -> bool:
    serving = health.get("release")
    return isinstance(serving, dict) and serving["id"] == str(release.number)


def _refused(health: dict[str, object], release: Release) -> bool:
    return f"release {release.number} cannot serve" in str(health.get("reasons"))


@contextmanager
def _services(ports: dict[str, int], work: Path) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """`aura serve`, with the services on these ports."""
    moved = [argument for name, port in ports.items() for argument in ("--set", f"serving.ports.{name}={port}")]
    only = [argument for name in ports for argument in ("--only", name)]
    # Whether every request is answered is measured, not how soon on a machine that is busy elsewhere.
    patient = ["--set", f"serving.answer_seconds={_ANSWER_SECONDS}"]
    command = [*watched("flows.cli.app", "serve", "--profile", PROFILE), *moved, *patient, *only]
    log = work / "serve.log"
    urls = {name: f"http://127.0.0.1:{port}{FOLLOWING[name].path}" for name, port in ports.items()}
    environment = watched_environment() | {"AURA_HOME": str(home()), "PYTHONPATH": str(repo_root())}
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, cwd=repo_root(), env=environment, start_new_session=True
        )
    try:
        for url in urls.values():
            wait_until_healthy(f"{url}/health", server, log, _START_SECONDS)
        yield psutil.Process(server.pid), urls
    finally:
        stop(server)


def _memory(server: psutil.Process) -> dict[str, float]:
    """Resident MB of each service's processes."""
    found = {}
    for child in server.children():
        name = next((name for name, service in FOLLOWING.items() if service.target in child.cmdline()), None)
        if name:
            family = [child, *child.children(recursive=True)]
            found[name] = sum(process.memory_info().rss for process in family) / 1e6
    return found


def page(result: Result) -> str:
    """The page of a measurement, in Markdown."""
    seen = result.seen
    kinds = dict.fromkeys(_KINDS)
    rows = []
    for kind in kinds:
        took = [switch.seconds for switch in result.switches if switch.kind == kind]
        if took:
            rows.append(f"| {kind} | {len(took)} | {np.median(took):.1f} | {max(took):.1f} |")
    wrong = [
        ("failed requests", sum(seen.failed.values())), ("answers of mixed releases", seen.mixed(result.releases)),
        ("ids that another service did not know", seen.unknown), ("processes that ended", result.ended),
    ]  # fmt: skip
    return "\n".join(
        [
            "# Switches under load", "",
            f"Written by `make bench-switches`: {len(result.switches)} switches in {result.seconds:.0f} s while {result.clients} "
            f"clients ask all services, on {os.cpu_count()} cores that the clients share (CPU, no network). Seconds: from the "
            "end of the command until every service answers from the release; of a broken version, until its service has "
            "refused it and the others have switched.", "",
            "| switch | times | median s | longest s |", "| --- | --- | --- | --- |", *rows, "",
            f"Of {sum(seen.answered.values())} answers:", "",
            "| what went wrong | times |", "| --- | --- |", *(f"| {what} | {count} |" for what, count in wrong), "",
            *([f"Failed: {dict(seen.failed)}", ""] if seen.failed else []),
            "| endpoint | answers | slowest s |", "| --- | --- | --- |",
            *(f"| {name} | {count} | {seen.slowest[name]:.1f} |" for name, count in sorted(seen.answered.items())), "",
            f"Resident memory in MB, of all processes of a service: before the first switch, at most, and "
            f"{_SETTLE_SECONDS:.0f} s after the last:", "",
            "| service | before | at most | after |", "| --- | --- | --- | --- |",
            *(f"| {name} | {' | '.join(f'{value:.0f}' for value in values)} |" for name, values in result.memory_mb.items()), "",
        ]
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.switches", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--home", type=Path, default=None, help="home with champions; default: AURA_HOME")
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--switches", type=int, default=50)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--port", type=int, default=18100, help="of the first service; the others follow")
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "switches.md")
    options = parser.parse_args(arguments)
    source = options.home or home()
    work = (options.work or home() / "benchmarks" / "switches").resolve()
    copy_home(source, work / "home", PROFILE)
    os.environ["AURA_HOME"] = str(work / "home")
    prepared = set_up(load_profile(PROFILE), profile_paths(PROFILE).index)
    ports = {name: options.port + place for place, name in enumerate(FOLLOWING)}
    result = measure(prepared, ports, work, options.switches, options.clients, options.seconds)
    write_text(options.page, page(result))
    print(options.page.read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
