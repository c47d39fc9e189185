"""`aura serve`: run the services until Ctrl+C."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from rich.console import Console

from aura.artifact import write_text
from aura.errors import DatabaseUnavailableError, ServiceError, StartError
from aura.paths import check_temporary_folder, home, profile_paths
from aura.supervision import watched
from flows.cli.options import ProfileOption, SetOption
from flows.profile import Profile, load_profile
from flows.services import SERVICES, Service

if TYPE_CHECKING:
    from flows.keep_running import Server


def serve(
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="start this service alone; repeat the option for more")
    ] = None,
    bentos: Annotated[
        bool, typer.Option("--bentos", help="serve the night's Bentos, and change to those of the next night")
    ] = False,
) -> None:
    """Start the services, which follow the release that serves, and stop them together with Ctrl+C.

    A service that cannot start is named and left out; one that ends is started again. The others live on.
    """
    if bentos:
        if only:
            raise typer.BadParameter("--bentos serves all of them together; leave --only out")
        _serve_bentos(load_profile(profile, overrides or ()))
        return
    from aura.registry import CHAMPION, Registry
    from bentos.serving.auth import refuse_open_door
    from flows.database import database
    from flows.keep_running import KeepRunning
    from flows.package import bento_environment
    from stores.address import DATABASE_URL

    settings = load_profile(profile, overrides or ())
    check_temporary_folder()
    refuse_open_door(settings.serving.host)
    settings.serving.check_gpu_memory()
    registry = Registry(settings.tracking, settings.profile)
    chosen = [_known(name, list(SERVICES)) for name in only] if only else list(SERVICES)
    console = Console()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    startable = _startable(chosen, profile, settings, lambda model: registry.at(model, CHAMPION) is not None, say)
    # Resolved here, so that every setting reaches the services as this command understood it.
    params = home() / "serving" / settings.profile / "params.yaml"
    write_text(params, yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=True, allow_unicode=True))
    environment = bento_environment() | {"AURA_PARAMS": str(params)} | service_addresses(settings)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor ends it as Ctrl+C does
    with ExitStack() as stack:
        homes = stack.enter_context(tempfile.TemporaryDirectory(prefix="aura-serve-"))
        if any(service.needs_database for service in startable):
            try:
                environment[DATABASE_URL] = stack.enter_context(database(settings.serving.database.start_seconds))
            except (StartError, DatabaseUnavailableError) as problem:
                startable = [service for service in startable if not service.needs_database]
                if not startable:
                    raise
                say(f"without a database, {', '.join(_with_database(chosen))} is left out: {problem}")
        # BentoML empties the metrics in its home when it starts: each service has one of its own.
        services = [
            _server(service, settings, environment | {"BENTOML_HOME": f"{homes}/{service.name}"})
            for service in startable
        ]
        running = KeepRunning(services, settings.serving.start_timeout_seconds, say)
        try:
            running.start()
            say("Ctrl+C stops them.")
            running.wait()
        except KeyboardInterrupt:
            say("stopping")
        finally:
            running.stop()


def _serve_bentos(settings: Profile) -> None:
    from bentos.serving.auth import refuse_open_door
    from flows.blue_green import BlueGreen
    from flows.database import database
    from stores.address import DATABASE_URL

    console = Console()
    paths = profile_paths(settings.profile)

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    check_temporary_folder()
    refuse_open_door(settings.serving.host)
    settings.serving.check_gpu_memory()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a supervisor ends it as Ctrl+C does
    with database(settings.serving.database.start_seconds) as url:
        record = paths.workspace / "metrics" / "package.json"
        services = BlueGreen(settings.serving, record, paths.logs, say, {DATABASE_URL: url})
        try:
            services.start()
            say("Ctrl+C stops them.")
            services.follow()
        except KeyboardInterrupt:
            say("stopping")
        finally:
            services.stop()


def _with_database(names: Sequence[str]) -> list[str]:
    return [name for name in names if SERVICES[name].needs_database]


def service_addresses(settings: Profile) -> dict[str, str]:
    """Where the services find the keys of tokens, and the chat its tools, unless the environment says so."""
    from bentos.conversational_ai.outfit_tool import OUTFITS_URL
    from bentos.conversational_ai.photo_tool import PHOTOS_URL
    from bentos.serving.auth import JWKS_URL, SECRET

    tools = {PHOTOS_URL: "visual_analysis", OUTFITS_URL: "outfit_recommendation"}
    found = {name: os.environ.get(name) or SERVICES[service].url(settings.serving) for name, service in tools.items()}
    if not (os.environ.get(JWKS_URL) or os.environ.get(SECRET)):
        found[JWKS_URL] = f"{SERVICES['accounts'].url(settings.serving)}/jwks"
    return found


def _startable(
    chosen: Sequence[str],
    profile: str,
    settings: Profile,
    has_champion: Callable[[str], bool],
    say: Callable[[str], None],
) -> list[Service]:
    """Services that can start; the others are named, and left out.

    Raises:
        ServiceError: none can.
    """
    from flows.processes import require_free

    services = [SERVICES[name] for name in chosen]
    missing = {service.name: [model for model in service.models if not has_champion(model)] for service in services}
    if (answering := [service for service in services if service.models]) and all(
        missing[service.name] for service in answering
    ):
        raise _no_champion(profile, settings, sorted({model for models in missing.values() for model in models}))
    problems: dict[str, ServiceError] = {}
    for service in services:
        try:
            if missing[service.name]:
                raise _no_champion(profile, settings, missing[service.name])
            require_free(settings.serving.host, service.port(settings.serving), service.name, service.port_setting)
        except ServiceError as error:
            problems[service.name] = error
    if len(problems) == len(services):
        raise ServiceError(
            "\n".join(problem.message for problem in problems.values()),
            hint="; ".join(dict.fromkeys(problem.hint for problem in problems.values())),
        )
    for name, problem in problems.items():
        say(f"{name} is left out: {problem}")
    return [service for service in services if service.name not in problems]


def _no_champion(profile: str, settings: Profile, models: Sequence[str]) -> ServiceError:
    return ServiceError(
        f"profile {settings.profile!r} has no champion yet for: {', '.join(models)}",
        hint=f"run `aura nightly --profile {profile}` first",
    )


def _server(service: Service, settings: Profile, environment: dict[str, str]) -> Server:
    from flows.keep_running import Server

    url = service.url(settings.serving)
    address = ("--host", settings.serving.host, "--port", str(service.port(settings.serving)))
    return Server(
        name=service.name, command=watched("flows.bento_server", "serve", service.target, *address), environment=environment,
        log=profile_paths(settings.profile).logs / f"serve-{service.name}.log",
        health_url=service.health_url(url), page=f"{url}/docs",
    )  # fmt: skip


def _known(name: str, known: list[str]) -> str:
    if name not in known:
        raise typer.BadParameter(f"unknown service {name!r}; choose of {', '.join(known)}")
    return name
