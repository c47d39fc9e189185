"""`aura drift`: the prediction log's last days beside the days before."""

from __future__ import annotations

import json

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from flows.cli.options import JsonOption, ProfileOption, SetOption
from flows.profile import load_profile


def drift(profile: ProfileOption = "sample", overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """Say whether what the services see and answer has moved in the last days (`night.drift_days`)."""
    from flows.database import in_database
    from flows.drift import drift_of, told, too_few

    settings = load_profile(profile, overrides or ())
    found = in_database(settings.serving.database, lambda database: drift_of(database, settings.night))
    if as_json:
        typer.echo(json.dumps([entry.as_dict() for entry in found or []], indent=2))
        return
    console = Console()
    if not found:
        console.print("There is no database here." if found is None else "No predictions are recorded.")
        return
    table = Table("", "figure", "answers", "before", "index", "", "", box=box.SIMPLE_HEAD, pad_edge=False)
    for entry in told(found):
        counts = (str(entry.now), str(entry.before), f"{entry.index:.3f}")
        table.add_row(entry.endpoint, entry.figure, *counts, entry.finding, entry.values)
    if table.row_count:
        console.print(table)
    for line in too_few(found):
        console.print(line, soft_wrap=True, highlight=False)
