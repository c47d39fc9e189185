"""A night keeps what it did when its Prefect server goes away, and tells it in one sentence."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from aura.errors import PrefectUnavailableError
from aura.paths import repo_root
from flows import prefect_errors
from flows.prefect_errors import prefect_error

_NIGHT = """
    import sys
    from contextlib import suppress

    import psutil
    from rich.console import Console

    from flows.prefect_server import prefect_api

    def end_server():
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                if "prefect" in " ".join(process.cmdline()):
                    process.kill()

    with prefect_api(250):
        from prefect import task

        from flows import nightly
        from flows.night_steps import Step
        from flows.promotion import Outcome
        from flows.report import print_report
        from training.models import MODELS

        @task
        def work():
            return "done"

        def model(name):
            return lambda night: Outcome(
                model=name, metric="ap50", champion=None, challenger=0.5, verdict="promoted", reasons=[night.store(work)],
                version="1", seconds=1.0,
            )

        # The steps run as they do, and are worth less.
        nightly.STEPS = {
            "prepare": Step(lambda night: night.store(work)),
            "server": Step(lambda night: end_server() if sys.argv[1] == "in the middle" else None),
            **{name: Step(model(name)) for name in MODELS},
            "record": Step(lambda night: night.tag),
        }
        keep = nightly._publish

        def publish(report, workspace):
            keep(report, workspace)
            if sys.argv[1] == "at the end":
                end_server()

        nightly._publish = publish
        report = nightly.run("sample", [])
        print_report(report, Console(width=200))
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["in the middle", "at the end"])
def test_a_night_whose_server_is_killed_ends_with_its_table(tmp_path: Path, own_home: Path, when: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(_NIGHT), when],
        env={name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        | {"PYTHONPATH": str(repo_root()), "PREFECT_CLIENT_MAX_RETRIES": "1"},  # five more tries take minutes
        cwd=tmp_path, capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    for model in ("detection", "outfits", "chat"):
        assert f"{model}" in done.stdout
    assert done.stdout.count("promoted") >= 3
    assert "the Prefect server at http://127.0.0.1:" in done.stdout
    assert "does not answer any more" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert (own_home / "reports" / "sample" / "result.json").is_file()


@contextmanager
def server_with(status: int) -> Iterator[str]:
    """A server that is healthy and answers everything else with a status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.endswith("/health") else status)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/api"
        server.shutdown()


def test_the_cause_decides_what_is_told(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_home.mkdir()
    with server_with(500) as url:
        with pytest.raises(httpx.HTTPStatusError) as caught:
            httpx.get(f"{url}/flow_runs").raise_for_status()
        told = prefect_error(caught.value, url)
        assert isinstance(told, PrefectUnavailableError)
        assert told.message == f"the Prefect server at {url} answered 500"
        monkeypatch.setattr(prefect_errors, "_LITTLE_BYTES", 2**62)
        full = prefect_error(caught.value, url)
        assert full is not None
        assert full.message.endswith("and the disk of the home is full")
        assert "free some space" in full.hint
        assert prefect_error(KeyError("a bug of ours"), url) is None
    gone = prefect_error(RuntimeError(f"Failed to reach API at {url}"), url)
    assert gone is not None
    assert "does not answer any more" in gone.message
