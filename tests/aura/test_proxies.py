"""Behind a company's proxy: this machine is called directly, other machines through the proxy, by every HTTP client in use."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aura.paths import repo_root
from aura.proxies import direct, exempt_loopback, is_loopback
from flows.services import SERVICES


@contextmanager
def http_server() -> Iterator[tuple[str, list[str]]]:
    """A server that answers everything with an empty JSON object; its address, and the targets that it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"{}")

        do_GET = do_POST = do_HEAD = answer  # noqa: N815

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


def run_behind(proxy: dict[str, str], script: str, tmp_path: Path) -> str:
    """Output of a script in a process of its own, whose environment names a proxy."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=kept | {"PYTHONPATH": str(repo_root()), "PREFECT_HOME": str(tmp_path / "prefect"), "DO_NOT_TRACK": "1"} | proxy,
        cwd=tmp_path, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


CLIENTS = {
    "the health check of a server that a run started": """
        import subprocess, sys
        from pathlib import Path
        from flows.processes import wait_until_healthy
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        wait_until_healthy({url!r} + "/health", process, Path("log"), 20)
        process.kill()
    """,
    "the smoke test of a service": """
        from flows.service_smoke_test import post
        assert post({url!r} + "/analyze", json={{}}) == {{}}
    """,
    "the look for a Prefect server": """
        from flows.prefect_errors import wait_for_server
        wait_for_server({url!r}, 20)
    """,
    "the Prefect client of a night": """
        from aura.proxies import exempt_loopback
        exempt_loopback()
        from prefect.client.orchestration import SyncPrefectClient
        with SyncPrefectClient({url!r}) as client:
            assert client._client.get("/health").status_code == 200
    """,
    "the MLflow registry": """
        from aura.registry import Registry
        from aura.tracking import TrackingSettings
        assert Registry(TrackingSettings(uri={url!r}), "test").versions("detection") == []
    """,
    "the run of a training": """
        from pathlib import Path
        from aura.tracking import MlflowTracker, TrackingSettings, tracking_uri
        from mlflow import MlflowClient
        MlflowClient(tracking_uri(TrackingSettings(uri={url!r}))).log_metric("0" * 32, "loss", 1.0)
    """,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_a_call_to_this_machine_goes_past_the_proxy(client: str, tmp_path: Path) -> None:
    with http_server() as (proxy, through_proxy), http_server() as (url, asked):
        named = dict.fromkeys(("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"), proxy)
        run_behind(named, CLIENTS[client].format(url=url), tmp_path)
    assert asked
    assert not through_proxy


@pytest.mark.parametrize("client", ["the MLflow registry", "the run of a training", "the look for a Prefect server"])
def test_a_call_to_another_machine_goes_through_it(client: str, tmp_path: Path) -> None:
    with http_server() as (proxy, through_proxy):
        run_behind(
            {"http_proxy": proxy, "HTTP_PROXY": proxy}, CLIENTS[client].format(url="http://mlops.test:5000"), tmp_path
        )
    assert through_proxy
    assert all(target.startswith("http://mlops.test:5000/") for target in through_proxy)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    "variables",
    [
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {"all_proxy": "socks://127.0.0.1:9/", "no_proxy": "intranet.test"},
        {"SSL_CERT_FILE": "/no/such/file.pem", "REQUESTS_CA_BUNDLE": "/no/such/file.pem"},
    ],
    ids=["SOCKS", "a scheme that no client knows", "certificates that are not there"],
)
def test_what_no_client_can_use_stops_none_that_does_not_need_it(
    client: str, variables: dict[str, str], tmp_path: Path
) -> None:
    with http_server() as (url, asked):
        run_behind(variables, CLIENTS[client].format(url=url), tmp_path)
    assert asked


def test_what_is_left_out_is_said_and_the_rest_stays(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    environment = {
        "HTTP_PROXY": "http://user:secret@proxy.test:3128", "ALL_PROXY": "socks://user:secret@proxy.test:1080",
        "SSL_CERT_FILE": str(tmp_path / "none.pem"), "NO_PROXY": "intranet.test, localhost",
    }  # fmt: skip
    exempt_loopback(environment)
    exempt_loopback(environment)
    assert environment.keys() == {"HTTP_PROXY", "NO_PROXY", "no_proxy"}
    assert environment["NO_PROXY"] == environment["no_proxy"] == "intranet.test,localhost,127.0.0.1,::1"
    assert [record.message.split(" ")[0] for record in caplog.records] == ["ALL_PROXY", "SSL_CERT_FILE"]
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:5000", True), ("http://127.9.9.9", True), ("http://localhost:4200/api", True),
        ("http://[::1]:8000/", True), ("http://0.0.0.0:8000", True), ("http://mlflow:5000", False),
        ("https://127.0.0.1.test/", False), ("http://10.0.0.1", False), ("sqlite:////home/x.db", False), ("http://[", False),
    ],
)  # fmt: skip
def test_this_machine_is_told_from_others(url: str, here: bool) -> None:
    assert is_loopback(url) is here
    assert direct(url) == ({"trust_env": False} if here else {})


def test_every_call_says_which_way_it_goes() -> None:
    """A new call of httpx or websockets without it would fail behind a proxy, on somebody else's machine."""
    verbs = {"get", "post", "put", "patch", "delete", "head", "request", "stream", "Client", "AsyncClient"}
    silent = []
    for path in sorted(repo_root().glob("*/**/*.py")):
        name = path.relative_to(repo_root()).as_posix()
        if name.split("/")[0] not in {"aura", "dataprep", "inference", "training", "stores", "flows", "bentos", "docs"}:
            continue
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            options = {keyword.arg for keyword in node.keywords} | {
                ast.unparse(keyword.value).split("(")[0] for keyword in node.keywords if keyword.arg is None
            }
            httpx_call = called.startswith("httpx.") and called.removeprefix("httpx.") in verbs
            if (httpx_call and not options & {"trust_env", "direct"}) or (
                called == "connect" and "from websockets" in source and "proxy" not in options
            ):
                silent.append(f"{name}:{node.lineno} {called}")
    assert not silent


def test_the_answer_of_a_proxy_is_not_taken_for_a_service(tmp_path: Path) -> None:
    """`aura status` would call a service healthy because a proxy answers in its place."""
    with http_server() as (proxy, through_proxy):
        output = run_behind(
            {"http_proxy": proxy, "AURA_HOME": str(tmp_path / "home")},
            """
            import json
            from bentos.serving.settings import ServingSettings
            from flows.cli.status import _services
            from flows.processes import free_port
            from flows.services import SERVICES
            ports = {name: free_port() for name in SERVICES}
            print(json.dumps([found["state"] for found in _services(ServingSettings(ports=ports), {}).values()]))
            """,
            tmp_path,
        )
    assert json.loads(output) == ["not running"] * len(SERVICES)
    assert not through_proxy
