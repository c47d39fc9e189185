"""`aura status`: champions, index, the last and the running night, services."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from aura.tracking import TrackingSettings, store_exists
from bentos.serving.settings import ServingSettings
from flows.cli.options import JsonOption, ProfileOption, SetOption
from flows.services import SERVICES
from training.models import MODELS


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
        console.print(f"[bold]Service[/]  {service}: {entry['state']} at {entry['url']}", highlight=False)


def collect(profile: str, overrides: list[str] | None) -> dict[str, Any]:
    """Status as plain values."""
    from flows.cli.pipeline import find_workspace
    from flows.snapshots import nights

    workspace = find_workspace(profile, overrides)
    settings = workspace.profile
    # LanceDB and MLflow take two seconds each to import; side by side they are one wait.
    with ProcessPoolExecutor(max_workers=1) as beside:
        index = beside.submit(_index, str(workspace.paths.index))
        models = _models(settings.tracking, settings.profile)
        recorded = nights(workspace)
        return {
            "profile": settings.profile,
            "models": models,
            "index": index.result(),
            "last_night": recorded[0].as_dict() if recorded else None,
            "running": workspace.lock.holder(),
            "services": _services(settings.serving),
        }


def _models(tracking: TrackingSettings, profile: str) -> dict[str, Any]:

    if not store_exists(tracking):
        return {model: {"versions": 0, "champion": None, "previous": None, "challenger": None} for model in MODELS}
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
    if not Path(uri).is_dir():
        return {"ready": False, "version": None}
    from inference.retrieval.releases import served_release

    version = served_release(uri)  # without the embedding models that a search would load
    return {"ready": version is not None, "version": version}


def _services(serving: ServingSettings) -> dict[str, Any]:
    import httpx

    found = {}
    for service in SERVICES.values():
        url = service.url(serving)
        try:
            answer = httpx.get(service.health_url(url), timeout=2, trust_env=False)
            state = "healthy" if answer.is_success else f"answers {answer.status_code}"
        except httpx.TimeoutException:
            state = "busy"
        except httpx.HTTPError:
            state = "not running"
        found[service.name] = {"url": url, "state": state}
    return found
