"""`aura ui`: the MLflow and Prefect pages, until Ctrl+C."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import typer

from aura.paths import home
from aura.supervision import watched, watched_environment
from aura.tracking import TrackingSettings, tracking_uri
from flows.cli.options import ProfileOption, SetOption
from flows.profile import load_profile

if TYPE_CHECKING:
    from flows.keep_running import Server

_RUNS = "/#/experiments?workflowType=machine_learning"
"""MLflow's list of experiments as model training, also on a server that knows nothing of `flows.mlflow_page`."""


def ui(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Start the MLflow and Prefect pages for what local runs have left, and stop them with Ctrl+C.

    A page that has a server of its own (`tracking.uri`, `PREFECT_API_URL`) is named, and nothing is started for it. A page whose
    server ends is started again, at the same address; the other one lives on.
    """
    from flows.keep_running import KeepRunning

    settings = load_profile(profile, overrides or ())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor ends it as Ctrl+C does
    servers = []
    for name, page in (("mlflow", _mlflow_page(settings.tracking)), ("prefect", _prefect_page())):
        if isinstance(page, str):
            typer.echo(f"{name}: {page}")
        else:
            servers.append(page)
    if not servers:
        return
    running = KeepRunning(servers, settings.serving.start_timeout_seconds, typer.echo)
    try:
        running.start()
        typer.echo("Ctrl+C stops them.")
        running.wait()
    except KeyboardInterrupt:
        typer.echo("stopping")
    finally:
        running.stop()


def _mlflow_page(tracking: TrackingSettings) -> Server | str:
    """Server of the page, or the page's address where somebody else serves it."""
    from flows.keep_running import Server
    from flows.processes import free_port

    uri = tracking_uri(tracking)
    if uri.startswith(("http://", "https://")):
        return f"{uri.rstrip('/')}{_RUNS}"
    port = free_port()
    server = ("mlflow", "server", "--app-name", "aura", "--workers", "1", "--backend-store-uri", uri)
    return Server(
        name="mlflow",
        command=watched(*server, "--host", "127.0.0.1", "--port", str(port)),
        environment=watched_environment() | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "DO_NOT_TRACK": "1"},
        log=home() / "logs" / "ui-mlflow.log",
        health_url=f"http://127.0.0.1:{port}/health",
        page=f"http://127.0.0.1:{port}{_RUNS}",
    )


def _prefect_page() -> Server | str:
    """As `_mlflow_page`."""
    from flows.keep_running import Server
    from flows.prefect_server import api_url, server_command, server_environment
    from flows.processes import free_port

    elsewhere = os.environ.get("PREFECT_API_URL")
    if elsewhere:  # the runs are on that server, and a page of our own would show none
        return page_root(elsewhere)
    port = free_port()
    return Server(
        name="prefect",
        command=server_command(port),
        environment=server_environment(port),
        log=home() / "logs" / "ui-prefect.log",
        health_url=f"{api_url(port)}/health",
        page=f"http://127.0.0.1:{port}/runs",
        store=home() / "prefect" / "prefect.db",
    )


def page_root(api: str) -> str:
    """Address of the page of a Prefect server, from that of its API."""
    return api.rstrip("/").removesuffix("/api")
