"""`aura releases`: list what served together, and go back to it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from aura.paths import profile_paths
from flows.cli.options import JsonOption, ProfileOption, SetOption
from flows.profile import Profile, load_profile

if TYPE_CHECKING:
    from aura.registry import Registry

app = typer.Typer(
    help="What serves together: the models' versions and the index, under one number.", no_args_is_help=True
)


@app.command("list")
def list_releases(profile: ProfileOption = "sample", overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """List releases, newest first; the one that serves is marked."""
    from aura.releases import Releases

    releases = Releases(_registry(load_profile(profile, overrides or ())))
    found, serving = releases.all(), releases.serving()
    if as_json:
        typer.echo(json.dumps([entry.as_dict() | {"serves": entry == serving} for entry in found], indent=2))
        return
    if not found:
        Console().print(f"Profile {profile} has no releases yet: `aura nightly --profile {profile}`.")
        return
    models = sorted({model for entry in found for model in entry.models})
    table = Table("", "release", *models, "index", "made", "because", box=box.SIMPLE_HEAD, pad_edge=False)
    for entry in found:
        table.add_row(
            "*" if entry == serving else "", str(entry.number), *(entry.models.get(model, "-") for model in models),
            str(entry.index.number) if entry.index else "-", entry.created, entry.reason,
        )  # fmt: skip
    Console().print(table)


@app.command()
def rollback(
    number: Annotated[
        int | None, typer.Argument(help="the release to go back to; by default the one before", show_default=False)
    ] = None,
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
) -> None:
    """Serve what an earlier release named: all models and the index at once. A second rollback undoes the first."""
    from flows.releases import go_back

    settings = load_profile(profile, overrides or ())
    release = go_back(
        _registry(settings), settings.index.address(profile_paths(settings.profile)), number, settings.serving.device
    )
    typer.echo(f"{release.reason}: {release}; services that run follow within seconds")


def _registry(settings: Profile) -> Registry:
    from aura.registry import Registry

    return Registry(settings.tracking, settings.profile)
