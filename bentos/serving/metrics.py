"""Metrics of a service for Prometheus: its HTTP part's by route template, its runner's by method.

BentoML's own metrics are labelled by the path that the caller sent: a scan of some thousand paths would leave as many time
series behind. `service_options` turns them off for the HTTP part; the runner, which only its service calls, keeps them.
No label holds what a caller may choose. Both parts count here, and `/metrics` of the HTTP part shows their sum;
`bentos/serving/runner_metrics.py` is how a runner counts.

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
ERRORS = Counter("aura_errors", "Errors that callers were told, by the code in the body", ("code",))
CACHE_LOOKUPS = Counter(
    "aura_cache_lookups",
    "Answers by where they came from: hit, the cache; shared, an equal request under way; miss, the runner",
    ("endpoint", "result"),
)
PREDICTIONS = Counter(
    "aura_predictions",
    "Predictions of the sample by what became of them: recorded; or dropped, as database_away, queue_full or failed",
    ("result",),
)

QUEUE_DEPTH = Gauge(
    "aura_queue_depth", "Requests that a runner was sent and has not begun", ("method",), multiprocess_mode="livesum"
)
QUEUE_SECONDS = Histogram(
    "aura_queue_seconds", "Seconds from the sending of a request to a runner to its beginning", ("method",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)  # fmt: skip
BATCH_SIZE = Histogram(
    "aura_batch_size", "Requests per batch of a runner", ("method",), buckets=(1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
)
INFERENCE_SECONDS = Histogram(
    "aura_inference_seconds", "Seconds that a runner worked on a batch, without the wait before it", ("method",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)  # fmt: skip
GENERATED_TOKENS = Counter("aura_generated_tokens", "Tokens of the sentences that chat answers told")
TOKENS_PER_SECOND = Histogram(
    "aura_tokens_per_second", "Tokens per second of a chat answer, from its beginning in the runner to its end",
    buckets=(1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256),
)  # fmt: skip
FIRST_TOKEN_SECONDS = Histogram(
    "aura_first_token_seconds", "Seconds from the arrival of a chat request to the first piece of its answer",
    buckets=(0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 5, 10, 30, 60, 120),
)  # fmt: skip

VERSIONS = Gauge(
    "aura_release_info",
    "1 for the release that answers and the versions in it; 0 for those that did since the process began",
    ("release", "name", "version"),
    multiprocess_mode="livemax",
)
SWITCHES = Counter("aura_switches", "Releases that took the place of the one before")
FAILED_SWITCHES = Counter("aura_failed_switches", "Releases that were refused; the one before goes on answering")
GPU_MEMORY = Gauge(
    "aura_gpu_memory_bytes", "Memory of a GPU that a runner uses: used by all processes, and in all", ("device", "kind"),
    multiprocess_mode="livemax",
)  # fmt: skip

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
