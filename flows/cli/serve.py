"""`aura serve` and `aura ui`: run the services, or the MLflow and Prefect pages, until Ctrl+C."""

from __future__ import annotations

import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

from aura.artifact import write_text
from aura.errors import ServiceError
from aura.paths import home, profile_paths, repo_root
from aura.supervision import watched, watched_environment
from aura.tracking import tracking_uri
from flows.cli.options import ProfileOption, SetOption
from flows.profile import load_profile
from flows.services import SERVICES


def serve(
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="start this service alone; repeat the option for more")
    ] = None,
) -> None:
    """Start the services from the champions, and stop them together with Ctrl+C."""

    from aura.registry import CHAMPION, Registry
    from flows.package import bento_environment
    from flows.processes import require_free, wait_until_healthy

    settings = load_profile(profile, overrides or ())
    registry = Registry(settings.tracking, settings.profile)
    chosen = [_known(name, list(SERVICES)) for name in only] if only else list(SERVICES)
    missing = sorted(
        {model for name in chosen for model in SERVICES[name].models if registry.at(model, CHAMPION) is None}
    )
    if missing:
        raise ServiceError(
            f"profile {settings.profile!r} has no champion yet for: {', '.join(missing)}",
            hint=f"run `aura nightly --profile {profile}` first",
        )
    for name in chosen:
        require_free(settings.serving.host, SERVICES[name].port(settings.serving), name, SERVICES[name].port_setting)
    # Resolved here, so that every setting reaches the services as this command understood it.
    params = home() / "serving" / settings.profile / "params.yaml"
    write_text(params, yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=True, allow_unicode=True))
    environment = bento_environment() | {"AURA_PARAMS": str(params)}
    console = Console()
    running: list[tuple[str, subprocess.Popen[bytes], Path, str]] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor ends it as Ctrl+C does
    try:
        for name in chosen:
            service = SERVICES[name]
            log = profile_paths(settings.profile).logs / f"serve-{name}.log"
            address = ("--host", settings.serving.host, "--port", str(service.port(settings.serving)))
            command = watched("flows.bento_server", "serve", service.target, *address)
            running.append((name, _start(command, log, environment), log, service.url(settings.serving)))
        for name, process, log, url in running:
            wait_until_healthy(SERVICES[name].health_url(url), process, log, settings.serving.start_timeout_seconds)
            console.print(f"[green]{name}[/] {url}/docs", highlight=False)
        console.print("Ctrl+C stops them.")
        _watch(running)
    except KeyboardInterrupt:
        console.print("stopping")
    finally:
        _stop_all([process for _, process, _, _ in running])


def ui(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Start the MLflow and Prefect pages for what local runs have left, and stop them with Ctrl+C."""
    from flows.processes import free_port, wait_until_healthy

    settings = load_profile(profile, overrides or ())
    ports = {"mlflow": free_port(), "prefect": free_port()}
    uri = tracking_uri(settings.tracking)
    served_elsewhere = uri.startswith(("http://", "https://"))
    environment = watched_environment() | {
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PREFECT_HOME": str(home() / "prefect"), "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    }  # fmt: skip
    commands = {
        "mlflow": ["mlflow", "server", "--workers", "1", "--backend-store-uri", uri],
        "prefect": ["prefect", "server", "start"],
    }
    if served_elsewhere:
        del commands["mlflow"]
        typer.echo(f"mlflow: {uri}")
    running: list[tuple[str, subprocess.Popen[bytes], Path, str]] = []
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor ends it as Ctrl+C does
    try:
        for name, command in commands.items():
            log = home() / "logs" / f"ui-{name}.log"
            whole = watched(*command, "--host", "127.0.0.1", "--port", str(ports[name]))
            running.append((name, _start(whole, log, environment), log, f"http://127.0.0.1:{ports[name]}"))
        for name, process, log, url in running:
            health = f"{url}/health" if name == "mlflow" else f"{url}/api/health"
            wait_until_healthy(health, process, log, settings.serving.start_timeout_seconds)
            typer.echo(f"{name}: {url}")
        typer.echo("Ctrl+C stops them.")
        _watch(running)
    except KeyboardInterrupt:
        typer.echo("stopping")
    finally:
        _stop_all([process for _, process, _, _ in running])


def _start(command: list[str], log: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:

    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as stream:
        return subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env=environment, cwd=repo_root()
        )


def _watch(running: list[tuple[str, subprocess.Popen[bytes], Path, str]]) -> None:

    while True:
        for name, process, log, _ in running:
            if process.poll() is not None:
                raise ServiceError(f"{name} ended with code {process.returncode}", hint=f"its log: {log}")
        time.sleep(1)


def _stop_all(processes: list[subprocess.Popen[bytes]]) -> None:
    from flows.processes import stop

    with ThreadPoolExecutor() as pool:
        list(pool.map(stop, processes))


def _known(name: str, known: list[str]) -> str:
    if name not in known:
        raise typer.BadParameter(f"unknown service {name!r}; choose of {', '.join(known)}")
    return name
