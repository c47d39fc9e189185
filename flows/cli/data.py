"""`aura data`: import and prepare data, list nights and restore their data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from aura.paths import home
from dataprep.importers import IMPORTERS, Original, importer
from flows.cli.options import JsonOption, ProfileOption, SetOption
from flows.profile import load_profile

app = typer.Typer(help="Import photos, prepare data, restore the data of a night.", no_args_is_help=True)


@app.command("import")
def import_source(
    name: Annotated[
        str, typer.Argument(help="; ".join(f"{name}: {entry.summary}" for name, entry in IMPORTERS.items()))
    ],
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="; ".join(entry.usage for entry in IMPORTERS.values()), show_default=False),
    ] = None,
    category_map: Annotated[
        Path | None,
        typer.Option("--map", help="YAML file: what the categories of the data set are to Aura; proposed when needed"),
    ] = None,
    profile: ProfileOption = "ccp",
    overrides: SetOption = None,
) -> None:
    """Import a public data set from its original layout, or photos of your own."""

    source, _, hub_name = name.partition(":")
    run = importer(source)
    settings = load_profile(profile, overrides or ())
    original = Original(paths=tuple(paths or ()), hub_name=hub_name, category_map=category_map)
    report = run(original, home() / "raw" / source, settings.data)
    Console().print(report.to_text(), highlight=False)


@app.command()
def prepare(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Join, check and split the raw data, if anything changed; prints where the data card lies."""
    from flows.cli.pipeline import open_workspace
    from flows.stages import run_stage

    with open_workspace(profile, overrides) as workspace:
        result = run_stage(workspace, "prepare", timeout_seconds=workspace.profile.night.stage_timeout_minutes * 60)
        typer.echo(f"{'prepared' if result.ran else 'nothing to do'} after {result.seconds:.0f} s")
        typer.echo(f"data card: {workspace.folder / 'data' / 'card.md'}")


@app.command()
def nights(profile: ProfileOption = "sample", as_json: JsonOption = False) -> None:
    """List the recorded nights with the versions of their data."""
    from flows.cli.pipeline import find_workspace
    from flows.snapshots import nights as recorded

    found = recorded(find_workspace(profile))
    if as_json:
        typer.echo(json.dumps([night.as_dict() for night in found], indent=2))
        return
    table = Table("night", "recorded", "data")
    for night in found:
        table.add_row(night.tag, night.recorded, " ".join(f"{name}={digest}" for name, digest in night.data.items()))
    Console().print(table if found else "No night is recorded yet: `aura nightly`.")


@app.command()
def restore(
    night: Annotated[str, typer.Argument(help="tag from `aura data nights`")],
    to: Annotated[Path, typer.Option("--to", help="folder to make")],
    profile: ProfileOption = "sample",
) -> None:
    """Bring the data, models and metrics of a night back into a new folder."""
    from flows.cli.pipeline import find_workspace
    from flows.snapshots import restore as bring_back

    typer.echo(f"restored {night} in {bring_back(find_workspace(profile), night, to)}")
