"""Options of BentoML that a service and its runner must agree on."""

from __future__ import annotations

from typing import Any, TypeVar

from bentoml import Service
from bentoml._internal.server.http import traffic

from bentos.serving.answer_timeout import AnswerTimeout

# BentoML looks the name up when it makes the app of a service, and has no setting for it.
traffic.TimeoutMiddleware = AnswerTimeout
RunnerService = TypeVar("RunnerService", bound=Service[Any])

KEEP_CONNECTIONS = {"max_requests": 2**31, "max_age": 1e9}
"""For a runner's `runner_connection`: BentoML's client of the runner keeps its connections.

By default it closes them all after 100 requests or 300 seconds, those in use too: answers under way break off, and some of
their callers wait for ever (reproduced with BentoML 1.4.39; `/health` alone makes that many requests).
"""


_NO_ACCESS_LOG = {"access": {"enabled": False}}
"""BentoML's access log does not know the request id: `bentos/serving/access.py` logs the requests, and `answer_or_failure` the
calls of a runner."""


def runner_options(timeout_seconds: int) -> dict[str, Any]:
    """Options of a runner with one worker and `timeout_seconds` per call."""
    return {
        "workers": 1, "traffic": {"timeout": timeout_seconds}, "runner_connection": KEEP_CONNECTIONS,
        "logging": _NO_ACCESS_LOG,
    }  # fmt: skip


def named_media_types(runner: RunnerService) -> RunnerService:
    """A runner whose answers' media type is known; a decorator.

    For a list or a union BentoML makes the JSON schema of the answer, at every answer, to name the media type: 10 ms, as long as
    a photo's detection. Its own client reads the answer whatever it is called.
    """
    for method in runner.apis.values():
        if not method.is_stream:
            method.output_spec.media_type = "application/json"
    return runner


def service_options(runner_timeout_seconds: int) -> dict[str, Any]:
    """Options of the service whose runner has `runner_timeout_seconds` per call.

    With equal timeouts the service's clock ends first, and BentoML answers in its own words instead of the error body. A
    request makes up to three calls to the runner, one after the other.

    `bentos/serving/metrics.py` counts the requests, and `HttpPart` asks the runner for the readiness, each in BentoML's place.
    """
    return {
        "traffic": {"timeout": 4 * runner_timeout_seconds}, "metrics": {"enabled": False},
        "runner_probe": {"enabled": False}, "logging": _NO_ACCESS_LOG,
    }  # fmt: skip
