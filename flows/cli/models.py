"""`aura models`: list versions, promote one, roll back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from aura.paths import profile_paths, repo_root
from aura.supervision import watched_environment
from flows.cli.options import JsonOption, ProfileOption, SetOption
from flows.profile import load_profile
from training.models import MODELS

if TYPE_CHECKING:
    from aura.registry import Registry

app = typer.Typer(help="Versions in the registry and the aliases that decide what serves.", no_args_is_help=True)

ModelArgument = Annotated[str, typer.Argument(help=" | ".join(MODELS))]


def _registry(profile: str, overrides: list[str] | None) -> Registry:
    from aura.registry import Registry

    settings = load_profile(profile, overrides or ())
    return Registry(settings.tracking, settings.profile)


def _known(model: str) -> str:
    if model not in MODELS:
        raise typer.BadParameter(f"unknown model {model!r}; choose one of {', '.join(MODELS)}")
    return model


@app.command("list")
def list_versions(
    model: Annotated[str | None, typer.Argument(help="one model; all by default")] = None,
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
    as_json: JsonOption = False,
) -> None:
    """List versions with their aliases, verdicts and metrics, newest first."""
    registry = _registry(profile, overrides)
    found = [version for name in ([_known(model)] if model else MODELS) for version in registry.versions(name)]
    if as_json:
        typer.echo(json.dumps([version.as_dict() for version in found], indent=2))
        return
    if not found:
        Console().print(f"Profile {profile} has no versions yet: `aura nightly --profile {profile}`.")
        return
    # No vertical lines, and only words wrap: every number is whole on a terminal of 80 columns.
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    table.add_column("version", no_wrap=True, justify="right")
    table.add_column("aliases", min_width=len("challenger,"))
    table.add_column("verdict", min_width=len("champion"))
    table.add_column("metric", overflow="fold")
    table.add_column("on test", no_wrap=True, justify="right")
    table.add_column("created", no_wrap=True)
    for version in found:
        metric = version.tags.get("gate_metric", "")
        metrics = dict(pair.split("=", 1) for pair in version.tags.get("test", "").split(", ") if "=" in pair)
        value = metrics.get(metric)
        table.add_row(
            version.model, version.version, ", ".join(version.aliases), _verdict(version.tags), metric,
            f"{float(value):.3f}" if value else "-", version.created[:10],
        )  # fmt: skip
    Console().print(table)


def _verdict(tags: dict[str, str]) -> str:
    """What a version is worth; one without files cannot be promoted any more."""
    return tags.get("verdict", "not judged") + (" (files removed)" if "files_removed" in tags else "")


@app.command()
def promote(
    model: ModelArgument,
    version: Annotated[str, typer.Argument(help="version number")],
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
) -> None:
    """Make a version the champion by hand, if it passes its smoke test; the one before becomes `previous`."""
    from flows.smoke_tested import smoke_test_version

    settings = load_profile(profile, overrides or ())
    registry = _registry(profile, overrides)
    # Before the alias moves: of a release with a broken part, the services that do not use the part would serve the rest.
    smoke_test_version(
        registry, registry.version(_known(model), version), device=settings.serving.device,
        seconds=settings.night.check_timeout_minutes * 60, folder=repo_root(), environment=watched_environment(),
    )  # fmt: skip
    registry.promote(model, version)
    _release(registry, profile, overrides, f"{model} version {version} promoted by hand")


@app.command()
def rollback(model: ModelArgument, profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Swap `champion` and `previous`."""
    registry = _registry(profile, overrides)
    if (previous := registry.at(_known(model), "previous")) is not None:
        registry.verify(previous)
    champion = registry.rollback(model)
    _release(registry, profile, overrides, f"{model} rolled back to version {champion.version}")


def _release(registry: Registry, profile: str, overrides: list[str] | None, reason: str) -> None:
    """Make a release of what the aliases name now, and say so."""
    from flows.releases import make_release

    settings = load_profile(profile, overrides or ())
    release = make_release(
        registry, settings.index.address(profile_paths(settings.profile)), reason, settings.serving.device
    )
    typer.echo(f"{reason}: {release}; services that run follow within seconds")
