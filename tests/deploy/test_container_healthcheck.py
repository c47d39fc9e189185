"""The health check of our images, against a real server."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from aura.paths import repo_root
from flows.processes import free_port


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/readyz": 200, "/loading": 503, "/": 308}[self.path])
        self.send_header("location", "/readyz")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = repo_root() / "deploy" / "docker" / "healthcheck.py"
    return subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=60)


def test_what_answers_well_is_healthy_and_nothing_else(url: str) -> None:
    assert check(f"{url}/readyz").returncode == 0
    assert check(f"{url}/", "308").returncode == 0
    loading = check(f"{url}/loading")
    assert (loading.returncode, loading.stderr) == (1, f"{url}/loading answers 503, not 200\n")
    away = check(f"http://127.0.0.1:{free_port()}/readyz")
    assert away.returncode == 1
    assert "does not answer" in away.stderr
