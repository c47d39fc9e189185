"""`aura maintenance`: what the schedule does once a week, now."""

from __future__ import annotations

import typer

from aura.heavy_imports import heavy_imports
from aura.paths import profile_paths
from flows.cli.options import ProfileOption, SetOption
from flows.profile import load_profile


def maintenance(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Look after database, runs, logs and disk (`maintenance.*`), as the schedule does once a week. Exit code 1: a problem."""
    from flows.prefect_server import prefect_api

    settings = load_profile(profile, overrides or ())
    with prefect_api(settings.night.prefect_start_seconds):
        # Imported here: Prefect reads its environment when it is imported.
        with heavy_imports():
            from flows.maintenance.flow import run
            from flows.maintenance.report import REPORT, to_markdown

        report = run(profile, overrides or [])
    typer.echo(to_markdown(report))
    typer.echo(f"report: {profile_paths(report.profile).reports / REPORT}")
    if report.problems:
        raise typer.Exit(1)
