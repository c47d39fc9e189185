"""`aura ui`: the MLflow and Prefect pages, until Ctrl+C."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

import typer

from aura.creation import creating
from aura.errors import ServiceError
from aura.paths import home, repo_root
from aura.supervision import watched, watched_environment
from aura.tracking import TrackingSettings, tracking_uri
from flows.cli.options import ProfileOption, SetOption
from flows.profile import load_profile

_RUNS = "/#/experiments?workflowType=machine_learning"
"""MLflow's list of experiments as model training, also on a server that knows nothing of `flows.mlflow_page`."""


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page, and the server behind it where that is started here.

    Attributes:
        address: what a person opens.
        health: address that answers 200 once the server is up.
        command: empty when the page is served elsewhere.
        store: SQLite file that the server makes if it is missing.
    """

    name: str
    address: str
    health: str = ""
    command: tuple[str, ...] = ()
    environment: dict[str, str] | None = None
    store: Path | None = None


def ui(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Start the MLflow and Prefect pages for what local runs have left, and stop them with Ctrl+C.

    A page that has a server of its own (`tracking.uri`, `PREFECT_API_URL`) is named, and nothing is started for it.
    """
    from flows.processes import stop, wait_until_healthy

    settings = load_profile(profile, overrides or ())
    pages = [_mlflow_page(settings.tracking), _prefect_page()]
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor ends it as Ctrl+C does
    with ExitStack() as stack:
        try:
            running = []
            seconds = settings.serving.start_timeout_seconds
            for page in pages:
                if page.command:
                    with creating(page.store, seconds) if page.store else nullcontext():  # a night may be making it
                        process, log = _start(page)
                        stack.callback(stop, process)
                        running.append((page, process, log))
                        if page.store:
                            wait_until_healthy(page.health, process, log, seconds)
            for page, process, log in running:
                wait_until_healthy(page.health, process, log, seconds)
            for page in pages:
                typer.echo(f"{page.name + ':':<8} {page.address}")
            if running:
                typer.echo("Ctrl+C stops them.")
            _watch(running)
        except KeyboardInterrupt:
            typer.echo("stopping")


def _mlflow_page(tracking: TrackingSettings) -> Page:
    from flows.processes import free_port

    uri = tracking_uri(tracking)
    if uri.startswith(("http://", "https://")):
        return Page(name="mlflow", address=f"{uri.rstrip('/')}{_RUNS}")
    port = free_port()
    server = ("mlflow", "server", "--app-name", "aura", "--workers", "1", "--backend-store-uri", uri)
    return Page(
        name="mlflow",
        address=f"http://127.0.0.1:{port}{_RUNS}",
        health=f"http://127.0.0.1:{port}/health",
        command=tuple(watched(*server, "--host", "127.0.0.1", "--port", str(port))),
        environment=watched_environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "1"},
    )


def _prefect_page() -> Page:
    from flows.prefect_server import api_url, server_command, server_environment
    from flows.processes import free_port

    elsewhere = os.environ.get("PREFECT_API_URL")
    if elsewhere:  # the runs are on that server, and a page of our own would show none
        return Page(name="prefect", address=page_root(elsewhere))
    port = free_port()
    return Page(
        name="prefect",
        address=f"http://127.0.0.1:{port}/runs",
        health=f"{api_url(port)}/health",
        command=tuple(server_command(port)),
        environment=server_environment(port),
        store=home() / "prefect" / "prefect.db",
    )


def page_root(api: str) -> str:
    """Address of the page of a Prefect server, from that of its API."""
    return api.rstrip("/").removesuffix("/api")


def _start(page: Page) -> tuple[subprocess.Popen[bytes], Path]:
    from flows.logs import open_log

    log = home() / "logs" / f"ui-{page.name}.log"
    with open_log(log) as stream:
        process = subprocess.Popen(
            page.command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env=page.environment,
            cwd=repo_root(),
        )  # fmt: skip
    return process, log


def _watch(running: list[tuple[Page, subprocess.Popen[bytes], Path]]) -> None:
    """Return at once when nothing was started here; otherwise raise when a server ends."""
    while running:
        for page, process, log in running:
            if process.poll() is not None:
                raise ServiceError(f"{page.name} ended with code {process.returncode}", hint=f"its log: {log}")
        time.sleep(1)
