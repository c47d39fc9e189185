"""Traces go where BentoML's own setting says: spans of both parts, of one trace per request."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from aura.paths import repo_root
from tests.bentos.serving.served_tiny import HANG_SECONDS, PREFIX, serving

pytestmark = pytest.mark.slow


@contextmanager
def collector() -> Iterator[tuple[str, list[ExportTraceServiceRequest]]]:
    """Address that takes OTLP over HTTP, and what has come."""
    received: list[ExportTraceServiceRequest] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", received
        server.shutdown()


def documented_options(endpoint: str, sample_rate: str) -> str:
    """The value of `BENTOML_CONFIG_OPTIONS` on the page for operators, with this address and rate in it."""
    page = (repo_root() / "docs" / "watching.md").read_text(encoding="utf-8")
    [line] = [line for line in page.splitlines() if "BENTOML_CONFIG_OPTIONS=" in line]
    options = line.partition("=")[2].strip("'")
    return options.replace("http://127.0.0.1:4318/v1/traces", endpoint).replace(
        "sample_rate=0.1", f"sample_rate={sample_rate}"
    )


def test_a_request_is_one_trace_through_both_parts(tmp_path: Path) -> None:
    with collector() as (endpoint, received):
        with serving(tmp_path, BENTOML_CONFIG_OPTIONS=documented_options(endpoint, "1.0")) as served:
            served.load()
            served.answer(f"{PREFIX}/health", 200)
            assert served.get(f"{PREFIX}/work").status_code == 200

            def parts() -> list[set[str]]:
                """Of each trace, the services that had a part in it."""
                traces: dict[bytes, set[str]] = {}
                for message in received:
                    for resource in message.resource_spans:
                        [service] = [
                            a.value.string_value for a in resource.resource.attributes if a.key == "service.name"
                        ]
                        for scope in resource.scope_spans:
                            for span in scope.spans:
                                traces.setdefault(span.trace_id, set()).add(service)
                return [*traces.values()]

            limit = time.monotonic() + HANG_SECONDS
            while {"tiny", "tiny_model"} not in parts():
                assert time.monotonic() < limit, (parts(), served.log())
                time.sleep(0.2)


def test_nothing_is_traced_unless_it_is_asked_for(tmp_path: Path) -> None:
    with collector() as (endpoint, received):
        with serving(tmp_path, BENTOML_CONFIG_OPTIONS=documented_options(endpoint, "0.0")) as served:
            served.load()
            served.answer(f"{PREFIX}/health", 200)
            assert served.get(f"{PREFIX}/work").status_code == 200
        assert received == [], "what was begun has been sent when the service has ended"
