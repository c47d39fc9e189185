"""What hostile requests do to running services: how each is answered, what memory they take, how long others wait meanwhile.

    python -m benchmarks.hostile [--profile sample] [--requests 1000] [--page docs/benchmarks/hostile.md]

Starts the services of a profile as `aura serve` does, from its champions, on free ports. Another caller sends good requests one
after the other: alone, beside as many callers of good requests as there are hostile ones at a time, and beside these.
"""

from __future__ import annotations

import argparse
import itertools
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from aura.artifact import write_text
from aura.paths import repo_root
from benchmarks.hostile_json import hostile_json
from benchmarks.hostile_uploads import HostileRequest, hostile_uploads
from benchmarks.running_services import memory_of, served
from flows.service_smoke_test import drawn_photo

_AT_ONCE = 4
"""Hostile requests at a time; before them, good ones."""
_GOOD = 100
"""Good requests of a caller before the hostile ones."""
_FIRST = 20
"""Hostile requests before anything is timed: what decodes other pictures than plain JPEG starts at the first of them."""
_SEED = 20261129
_numbers = itertools.count()
"""Of all good requests."""

Good = Callable[[httpx.Client, int], httpx.Response]
"""Sends the good request of a number; each number is another request, which no cache knows."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """An endpoint, and what is sent to it."""

    service: str
    path: str
    hostile: Iterable[HostileRequest]
    share: int = 1
    """Number of endpoints that the requests of this kind are spread over."""


@dataclass(kw_only=True)
class Outcome:
    """What came of the hostile requests to a target."""

    target: Target
    statuses: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    """Kinds that were answered with a 5xx, or not at all."""
    alone_ms: list[float] = field(default_factory=list)
    beside_good_ms: list[float] = field(default_factory=list)
    beside_hostile_ms: list[float] = field(default_factory=list)
    memory_before_mb: float = 0.0
    memory_peak_mb: float = 0.0
    seconds: float = 0.0


def _analyzed(client: httpx.Client, number: int) -> httpx.Response:
    # What stands behind a JPEG's end is not read: another file, the same picture.
    return client.post("/analyze", files={"image": ("a.jpg", drawn_photo() + str(number).encode(), "image/jpeg")})


def _evaluated(client: httpx.Client, number: int) -> httpx.Response:
    items = [{"category": "tops", "title": f"Navy shirt {number}"}, {"category": "shoes", "title": "White sneakers"}]
    return client.post("/evaluate", json={"items": items})


def _found(client: httpx.Client, number: int) -> httpx.Response:
    return client.post("/rag/query", json={"query": f"what shoes go with a navy suit, number {number}", "k": 3})


GOOD: dict[str, Good] = {"visual_analysis": _analyzed, "outfit_recommendation": _evaluated, "conversational_ai": _found}
"""What another caller asks a service for."""


def targets() -> list[Target]:
    """Every endpoint that takes a body."""
    outfit = {
        "items": [
            {"category": "tops", "title": "Navy shirt"},
            {"category": "shoes", "title": "Shoes", "image_base64": "a"},
        ]
    }
    chat = {"messages": [{"role": "user", "content": "What goes with navy?"}], "passages": 1, "max_new_tokens": 1}
    bodies = (
        ("outfit_recommendation", "/recommend", outfit | {"targets": ["bags"], "k": 2}),
        ("outfit_recommendation", "/evaluate", outfit),
        ("conversational_ai", "/rag/query", {"query": "navy", "k": 2}),
        ("conversational_ai", "/chat", chat),
    )
    return [
        Target(service="visual_analysis", path="/analyze", hostile=hostile_uploads(_SEED)),
        *(
            Target(service=service, path=path, hostile=hostile_json(_SEED, valid), share=len(bodies))
            for service, path, valid in bodies
        ),
    ]


def attack(target: Target, url: str, count: int, processes: Callable[[], float]) -> Outcome:
    """Send hostile requests, and good ones beside them.

    Args:
        url: of the service.
        processes: bytes of memory that its processes take.
    """
    outcome = Outcome(target=target)
    good = GOOD[target.service]
    requests = [*itertools.islice(target.hostile, _FIRST + count)]  # made before anything is timed
    with httpx.Client(base_url=url, timeout=120, trust_env=False) as client, ThreadPoolExecutor(_AT_ONCE) as callers:

        def ask() -> float:
            return _timed(good, client, next(_numbers))

        for request in requests[:_FIRST]:
            _sent(client, target.path, request)
        outcome.alone_ms = [ask() for _ in range(_GOOD)]
        with _meanwhile(lambda: outcome.beside_good_ms.append(ask())):
            _ = [*callers.map(lambda _: ask(), range(_AT_ONCE * _GOOD))]
        outcome.memory_before_mb = outcome.memory_peak_mb = processes() / 1e6

        def watch() -> None:
            time.sleep(0.1)
            outcome.memory_peak_mb = max(outcome.memory_peak_mb, processes() / 1e6)

        began = time.monotonic()
        with _meanwhile(watch), _meanwhile(lambda: outcome.beside_hostile_ms.append(ask())):
            for kind, status in callers.map(lambda request: _sent(client, target.path, request), requests[_FIRST:]):
                outcome.statuses[status] += 1
                if not status.isdecimal() or status >= "500":
                    outcome.failures[f"{kind}: {status}"] += 1
        outcome.seconds = time.monotonic() - began
    return outcome


@contextmanager
def _meanwhile(work: Callable[[], None]) -> Iterator[None]:
    """Do some work again and again, in a thread of its own; its error is raised at the end."""
    ended = threading.Event()

    def go_on() -> None:
        while not ended.is_set():
            work()

    with ThreadPoolExecutor(1) as pool:
        going_on = pool.submit(go_on)
        try:
            yield
        finally:
            ended.set()
        going_on.result()


def _sent(client: httpx.Client, path: str, request: HostileRequest) -> tuple[str, str]:
    """Kind, and the status or what happened instead."""
    headers = {"content-type": request.content_type} if request.content_type else {}
    try:
        return request.kind, str(client.post(path, content=request.body, headers=headers).status_code)
    except httpx.HTTPError as error:
        return request.kind, type(error).__name__


def _timed(good: Good, client: httpx.Client, number: int) -> float:
    began = time.perf_counter()
    good(client, number).raise_for_status()
    return 1000 * (time.perf_counter() - began)


def page(outcomes: Sequence[Outcome], hardware: str) -> str:
    lines = [
        "# Hostile requests, measured", "",
        f"Written by `make bench-hostile` ({hardware}).", "",
        f"{_AT_ONCE} at a time, of the kinds in `benchmarks/hostile_uploads.py` and `benchmarks/hostile_json.py`. Another caller "
        f"sends good requests to the same service one after the other: alone, beside {_AT_ONCE} callers of good requests, and "
        "beside the hostile ones; all run on the same cores. Memory is that of all services and their processes together.", "",
        "| endpoint | hostile requests | seconds | answered 2xx | 4xx | 5xx or not at all | memory before, MB | at most | "
        "other caller's p50 and p99 alone, ms | beside good ones | beside hostile ones |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
        *map(_row, outcomes),
    ]  # fmt: skip
    failures = [
        f"- `{outcome.target.path}`, {kind} ({count})"
        for outcome in outcomes
        for kind, count in outcome.failures.items()
    ]
    if failures:
        lines += ["", "Answered with a 5xx, or not at all:", "", *failures]
    return "\n".join(lines) + "\n"


def _row(outcome: Outcome) -> str:
    statuses = outcome.statuses
    by_hundred = [sum(count for status, count in statuses.items() if status[0] == first) for first in "24"]
    cells = [
        f"`{outcome.target.path}`", statuses.total(), f"{outcome.seconds:.0f}", *by_hundred, outcome.failures.total(),
        f"{outcome.memory_before_mb:.0f}", f"{outcome.memory_peak_mb:.0f}",
        *map(_percentiles, (outcome.alone_ms, outcome.beside_good_ms, outcome.beside_hostile_ms)),
    ]  # fmt: skip
    return f"| {' | '.join(map(str, cells))} |"


def _percentiles(milliseconds: Sequence[float]) -> str:
    return " and ".join(f"{value:.0f}" for value in np.percentile(milliseconds, (50, 99)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.hostile", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", default="sample")
    parser.add_argument("--requests", type=int, default=1000, help="of uploads, and of JSON bodies")
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "hostile.md")
    options = parser.parse_args(arguments)
    outcomes = []
    hardware = f"{os.cpu_count()} cores, CPU; load average before it began: {os.getloadavg()[1]:.1f}"
    with served(options.profile) as (urls, pid):
        for target in targets():
            outcome = attack(target, urls[target.service], options.requests // target.share, lambda: memory_of(pid))
            print(_row(outcome), dict(outcome.failures), flush=True)
            outcomes.append(outcome)
    write_text(options.page, page(outcomes, hardware))
    print(options.page)
    return int(any(outcome.failures for outcome in outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
