"""A night that failed reaches whoever is to hear of it: Prometheus, Alertmanager and a webhook, all real."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from aura.errors import StartError
from flows.platform.monitoring import (
    alertmanager_program,
    check_configuration,
    write_alertmanager,
    write_prometheus,
)
from flows.processes import free_port
from flows.profile import Profile, load_profile

HANG_SECONDS = 120.0
_METRICS = b'aura_night_problems{profile="sample"} 2\n'


class Handler(BaseHTTPRequestHandler):
    """Metrics of a failed night for Prometheus, and a webhook for Alertmanager."""

    posted: list[dict[str, Any]]

    def do_GET(self) -> None:
        self._answer(_METRICS)

    def do_POST(self) -> None:
        self.posted.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self._answer(b"")

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def listening() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    posted: list[dict[str, Any]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"posted": posted}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, posted
    server.shutdown()


def profile(port: int, monkeypatch: pytest.MonkeyPatch) -> Profile:
    monkeypatch.setenv("AURA_MONITORING__WEBHOOK_URL", f"http://127.0.0.1:{port}/hook?token=secret")
    addresses = {
        "gateway.platform_health": port, "gateway.prometheus": free_port(), "monitoring.alertmanager": free_port(),
    }  # fmt: skip
    return load_profile("sample", [f"{key}=127.0.0.1:{number}" for key, number in addresses.items()])


def hurry(file: Path, **changes: Any) -> None:
    """The same configuration with shorter waits."""
    values = yaml.safe_load(file.read_text(encoding="utf-8"))
    for section, wait in changes.items():
        values[section] |= wait
    file.write_text(yaml.safe_dump(values), encoding="utf-8")


def test_a_failed_night_reaches_the_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = alertmanager_program()
    assert program
    with listening() as (port, posted):
        settings = profile(port, monkeypatch)
        prometheus = write_prometheus(settings, {"accounts": ["127.0.0.1:1"]}, tmp_path)
        alertmanager = write_alertmanager(settings, tmp_path)
        hurry(prometheus, **{"global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}})
        hurry(alertmanager, route={"group_wait": "1s"})
        commands = [
            ["prometheus", f"--config.file={prometheus}", f"--storage.tsdb.path={tmp_path / 'data'}",
             f"--web.listen-address={settings.gateway.prometheus}"],
            [program, f"--config.file={alertmanager}", f"--storage.path={tmp_path / 'alerts'}", "--cluster.listen-address=",
             f"--web.listen-address={settings.monitoring.alertmanager}"],
        ]  # fmt: skip
        with (tmp_path / "log").open("w") as log:
            running = [subprocess.Popen(command, stdout=log, stderr=log) for command in commands]
        try:
            limit = time.monotonic() + HANG_SECONDS
            while not posted:
                assert time.monotonic() < limit, (tmp_path / "log").read_text()
                time.sleep(0.2)
        finally:
            for process in running:
                process.terminate()
                process.wait(30)
    (alert,) = posted[0]["alerts"]
    assert (posted[0]["status"], alert["labels"]["alertname"], alert["labels"]["profile"]) == (
        "firing", "NightFailed", "sample",
    )  # fmt: skip
    assert alert["annotations"]["summary"].startswith("the night of sample ended with 2 problem(s)")


def test_the_address_of_the_webhook_stands_in_one_private_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = profile(1, monkeypatch)
    assert "secret" not in settings.model_dump_json()
    written = write_prometheus(settings, {}, tmp_path)
    assert "secret" not in written.read_text(encoding="utf-8")
    secret = write_alertmanager(settings, tmp_path)
    assert "token=secret" in secret.read_text(encoding="utf-8")
    assert secret.stat().st_mode & 0o077 == 0


def test_without_an_address_nobody_is_told(tmp_path: Path) -> None:
    written = write_prometheus(load_profile("sample"), {}, tmp_path)
    assert yaml.safe_load(written.read_text(encoding="utf-8"))["alerting"]["alertmanagers"] == []


def test_what_the_program_refuses_is_told_in_its_words(tmp_path: Path) -> None:
    (tmp_path / "bad.yml").write_text("scrape_configs: [{job: 1}]", encoding="utf-8")
    with pytest.raises(StartError, match="promtool refuses"):
        check_configuration("promtool", "check", "config", str(tmp_path / "bad.yml"))
