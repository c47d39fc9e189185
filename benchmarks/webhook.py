"""A receiver of alerts and of a dead-man's switch: benchmarks count what it hears, and tests wait for it."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Webhook:
    """A server that keeps what it is told.

    Attributes:
        url: takes messages as Slack does, and calls without a body.
        messages: their texts.
        calls: how often it was called without a body.
    """

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.calls = 0
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                webhook.calls += 1
                self._answer()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                webhook.messages.append(json.loads(body)["text"])
                self._answer()

            def _answer(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/messages"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
