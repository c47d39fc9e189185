"""`aura up`, `down`, `parts`, `logs`: everything on this machine, under one supervisor."""

from __future__ import annotations

import os
import time
from typing import Annotated, Any

import typer

from aura.errors import NotFoundError
from aura.paths import check_temporary_folder
from flows.cli.options import ProfileOption, SetOption
from flows.profile import load_profile


def up(
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
    redis_port: Annotated[int, typer.Option(help="port of the Redis that is started here")] = 6379,
    wait_seconds: Annotated[float, typer.Option(help="seconds until all parts must answer")] = 300.0,
) -> None:
    """Start databases, MLflow, Prefect with the schedule, the services, the gateway and Prometheus; they run until `aura down`.

    What is missing or taken is said before anything starts. A part that ends is started again.
    """
    from aura.registry import CHAMPION, Registry
    from flows.database import database
    from flows.platform.parts import Platform, health_url, supervisor_folders
    from flows.platform.schedule import make_schedule
    from flows.platform.supervisor import Supervisor

    settings = load_profile(profile, overrides or ())
    check_temporary_folder()
    supervisor = Supervisor(*supervisor_folders())
    supervisor.refuse_second()
    registry = Registry(settings.tracking, settings.profile)
    platform = Platform(
        settings, profile, lambda model: registry.at(model, CHAMPION) is not None, typer.echo, redis_port
    )
    platform.check()
    with database(settings.serving.database.start_seconds):
        pass  # made once, before anything needs it
    supervisor.start(platform.parts())
    make_schedule(platform.prefect_api, profile)
    health = _wait_for_health(health_url(settings), wait_seconds)
    for name, part in health["parts"].items():
        typer.echo(f"{name}: {part['state']}{''.join(f' ({reason})' for reason in part['reasons'])}")
    gateway = settings.gateway
    typer.echo(
        f"https://{gateway.names[0]}{gateway.https_suffix}/health; logs: {supervisor.logs}; `aura down` stops it"
    )
    if health["state"] == "down":
        raise typer.Exit(1)


def down() -> None:
    """Stop everything that `aura up` started."""
    from flows.platform.parts import supervisor_folders
    from flows.platform.supervisor import Supervisor

    typer.echo("stopped" if Supervisor(*supervisor_folders()).stop() else "nothing was up")


def parts() -> None:
    """Show the processes that `aura up` keeps running."""
    from flows.platform.parts import supervisor_folders
    from flows.platform.supervisor import Supervisor

    supervisor = Supervisor(*supervisor_folders())
    if supervisor.process() is None:
        typer.echo("nothing is up; `aura up` starts everything")
        return
    typer.echo(supervisor.control("status").stdout.rstrip())


def logs(part: Annotated[str, typer.Argument(help="one part's alone, for example gateway")] = "*") -> None:
    """Follow the logs of what `aura up` started."""
    from flows.platform.parts import supervisor_folders

    files = sorted(supervisor_folders()[1].glob(f"{part}.log"))
    if not files:
        raise NotFoundError(f"there is no log of {part}", hint="`aura parts` names them")
    os.execvp("tail", ["tail", "-n", "20", "-F", *map(str, files)])


def _wait_for_health(url: str, seconds: float) -> dict[str, Any]:
    """What the gateway says when all parts are ready, or the time is over."""
    import httpx

    limit, health = time.monotonic() + seconds, dict[str, Any](state="down", parts={})
    with httpx.Client(timeout=10, trust_env=False) as client:
        while health["state"] != "ready" and time.monotonic() < limit:
            time.sleep(0.5)
            try:
                health = client.get(url).json()
                health["parts"]
            except (httpx.HTTPError, ValueError, KeyError):
                health = {"state": "down", "parts": {}}
    return health
