"""`aura status`: champions, index, the last and the running night, services."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aura.errors import AuraError
from aura.tracking import TrackingSettings, store_exists
from bentos.serving.settings import ServingSettings
from flows.cli.options import JsonOption, ProfileOption, SetOption
from flows.services import SERVICES
from training.models import MODELS

T = TypeVar("T")
_NO_VERSIONS: dict[str, Any] = {"versions": 0, "champion": None, "previous": None, "challenger": None}
_NO_INDEX: dict[str, Any] = {"ready": False, "version": None}


def status(profile: ProfileOption = "sample", overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Show champions, index, last night and services of a profile."""
    found = collect(profile, overrides)
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    console = Console()
    table = Table("model", "champion", "previous", "challenger", "versions", title=f"Aura, profile {found['profile']}")
    for model, versions in found["models"].items():
        table.add_row(
            model,
            *(versions[alias] or "-" for alias in ("champion", "previous", "challenger")),
            str(versions["versions"]),
        )
    console.print(table)
    index = found["index"]
    console.print(
        f"[bold]Index[/]    {'version ' + str(index['version']) if index['ready'] else 'not built'}", highlight=False
    )
    night = found["last_night"]
    console.print(
        f"[bold]Night[/]    {night['tag'] + ', ' + night['recorded'] if night else 'none yet'}", highlight=False
    )
    console.print(
        f"[bold]Running[/]  {'process ' + str(found['running']) if found['running'] else 'no'}", highlight=False
    )
    for service, entry in found["services"].items():
        reasons = escape(f" ({'; '.join(entry['reasons'])})") if entry["reasons"] else ""
        console.print(f"[bold]Service[/]  {service}: {entry['state']} at {entry['url']}{reasons}", highlight=False)
    for problem in found["problems"]:
        console.print(f"[bold red]Problem[/]  {escape(problem)}", highlight=False)


def collect(profile: str, overrides: list[str] | None) -> dict[str, Any]:
    """Status as plain values."""
    from flows.cli.pipeline import find_workspace
    from flows.snapshots import Night, nights

    workspace = find_workspace(profile, overrides)
    settings = workspace.profile
    problems: list[str] = []

    def part(look: Callable[[], T], otherwise: T) -> T:
        """What a part tells; one that fails is a problem of its own, and the others are told."""
        try:
            return look()
        except AuraError as error:
            problems.append(str(error))
            return otherwise

    # LanceDB and MLflow take two seconds each to import; side by side they are one wait.
    with ProcessPoolExecutor(max_workers=1) as beside:
        looking = beside.submit(_index, workspace.index)
        models = part(lambda: _models(settings.tracking, settings.profile), dict.fromkeys(MODELS, _NO_VERSIONS))
        recorded: list[Night] = part(lambda: nights(workspace), [])
        index = part(looking.result, _NO_INDEX)
        missing = {} if problems else _missing(models, index)
        return {
            "profile": settings.profile,
            "models": models,
            "index": index,
            "last_night": recorded[0].as_dict() if recorded else None,
            "running": workspace.lock.holder(),
            "services": _services(settings.serving, missing),
            "problems": problems,
        }


def _models(tracking: TrackingSettings, profile: str) -> dict[str, Any]:

    if not store_exists(tracking):
        return dict.fromkeys(MODELS, _NO_VERSIONS)
    from aura.registry import CHALLENGER, CHAMPION, PREVIOUS, Registry

    registry = Registry(tracking, profile)
    models: dict[str, Any] = {}
    for model in MODELS:
        versions = registry.versions(model)
        models[model] = {"versions": len(versions)} | {
            alias: next((version.version for version in versions if alias in version.aliases), None)
            for alias in (CHAMPION, PREVIOUS, CHALLENGER)
        }
    return models


def _index(uri: str) -> dict[str, Any]:
    if "://" not in uri and not Path(uri).is_dir():  # without the seconds of the import
        return _NO_INDEX
    from inference.retrieval.releases import served_release

    version = served_release(uri)  # without the embedding models that a search would load
    return {"ready": version is not None, "version": version}


def _services(serving: ServingSettings, missing: dict[str, list[str]]) -> dict[str, Any]:
    """State and reasons of each service; `missing` names what a service that does not run cannot start without."""
    found = {}
    for service in SERVICES.values():
        url = service.url(serving)
        state, reasons = _state(service.health_url(url))
        found[service.name] = {"url": url, "state": state, "reasons": reasons or missing.get(service.name, [])}
    return found


def _missing(models: dict[str, Any], index: dict[str, Any]) -> dict[str, list[str]]:
    no_index = [] if index["ready"] else ["the index is not built"]
    return {
        service.name: [f"no champion of {model}" for model in service.models if not models[model]["champion"]]
        + no_index * service.needs_index
        for service in SERVICES.values()
    }


def _state(health_url: str) -> tuple[str, list[str]]:
    """State of a service, and why it is not ready; the states that it names itself are those of `bentos/serving/health.py`."""
    import httpx

    try:
        # Our own server: no proxy of the environment comes between. It answers within two seconds.
        answer = httpx.get(health_url, timeout=5, trust_env=False)
        health = answer.json()
        return health["state"], health["reasons"]
    except httpx.TimeoutException:
        return "busy", ["it does not answer within 5 seconds"]
    except httpx.HTTPError:
        return "not running", []
    except (ValueError, KeyError, TypeError):
        return f"answers {answer.status_code}", ["what answers there is not this service"]
