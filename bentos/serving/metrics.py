"""Metrics of a service for Prometheus, labelled by route template.

BentoML's own metrics are labelled by the path that the caller sent: a scan of some thousand paths would leave as many time
series behind. `service_options` turns them off for the HTTP part; the runner, which only its service calls, keeps them.

The processes of one started service write into one folder, `PROMETHEUS_MULTIPROC_DIR`. BentoML empties and uses
`BENTOML_HOME/prometheus_multiproc_dir`, so every started service needs a `BENTOML_HOME` of its own.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import psutil
from fastapi.routing import iter_route_contexts
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope

REQUESTS = Counter(
    "aura_requests",
    "Requests that have ended; status 101 is a WebSocket conversation, 0 no answer at all",
    ("route", "method", "status"),
)
SECONDS = Histogram(
    "aura_request_seconds",
    "Seconds from the arrival of a request to its end",
    ("route",),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
IN_PROGRESS = Gauge(
    "aura_requests_in_progress", "Requests and conversations under way", ("route",), multiprocess_mode="livesum"
)

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"})
_LIVE_GAUGE = re.compile(r"gauge_live\w*_(\d+)\.db")


def route_template(scope: Scope) -> str:
    """Template of the route that a request is for, for example `/api/v1/visual-analysis/analyze`."""
    # BentoML puts the methods of a service into an included router, which has no path of its own.
    routes = (context.original_route for context in iter_route_contexts(scope["app"].router.routes))
    found = next((route for route in routes if route.matches(scope)[0] is not Match.NONE), None)
    return f"{scope.get('root_path', '')}{getattr(found, 'path', '(none)')}"


def method_label(scope: Scope) -> str:
    """The method, or `OTHER` for one that the caller made up."""
    method = str(scope.get("method", "WEBSOCKET"))
    return method if method in _METHODS else "OTHER"


def _metrics(_request: Request) -> Response:
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    registry = REGISTRY
    if folder:
        _forget_dead_processes(Path(folder))
        registry = CollectorRegistry()
        MultiProcessCollector(registry, path=folder)
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})


def _forget_dead_processes(folder: Path) -> None:
    """Remove what killed processes had under way: nobody would ever count it down."""
    found = {int(match[1]) for file in folder.iterdir() if (match := _LIVE_GAUGE.fullmatch(file.name))}
    for pid in found:
        if not psutil.pid_exists(pid):
            mark_process_dead(pid, str(folder))


metrics_app = Starlette(routes=[Route("/metrics", _metrics)])
"""Answers `/metrics` of the service that mounts it at `/`."""
