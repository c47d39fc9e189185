"""Entry of the `aura` command: the groups, the commands that stand alone, and how errors are shown."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sys
import warnings
from typing import Annotated

import typer
from rich.console import Console

from aura.errors import AuraError, SettingsError, told_storage_error
from aura.heavy_imports import heavy_imports
from aura.paths import check_temporary_folder, home
from aura.private_home import keep_private
from aura.proxies import exempt_loopback
from flows.cli import (
    accounts,
    backup,
    data,
    db,
    drift,
    gateway,
    index,
    maintenance,
    mcp,
    models,
    plan_memory,
    releases,
    serve,
    status,
    ui,
    up,
    upgrade,
)
from flows.cli.options import ProfileOption, SetOption
from flows.prefect_errors import wait_for_server
from flows.profile import load_profile
from training.models import MODELS

app = typer.Typer(
    name="aura",
    help="A fashion assistant that gets better every night.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(data.app, name="data")
app.add_typer(models.app, name="models")
app.add_typer(index.app, name="index")
app.command("mcp")(mcp.mcp)
app.add_typer(releases.app, name="releases")
app.add_typer(db.app, name="db")
app.add_typer(backup.app, name="backup")
app.add_typer(upgrade.app, name="upgrade")
app.add_typer(accounts.app, name="accounts")
app.command("serve")(serve.serve)
app.command("plan-memory")(plan_memory.plan_memory)
app.command("gateway")(gateway.gateway)
for command in (up.up, up.down, up.parts, up.logs):
    app.command(command.__name__)(command)
app.command("status")(status.status)
app.command("drift")(drift.drift)
app.command("maintenance")(maintenance.maintenance)
app.command("ui")(ui.ui)


@app.command()
def nightly(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Run the whole night: prepare, train and judge three models, index, package, report.

    Stages whose inputs did not change are skipped; the next night continues one that was killed.
    """
    from flows.prefect_server import prefect_api

    settings = load_profile(profile, overrides or ())  # before the server starts, so that a wrong setting fails at once
    check_temporary_folder()
    console = Console()
    with prefect_api(settings.night.prefect_start_seconds):
        # Imported here: Prefect reads its environment when it is imported.
        with heavy_imports():
            from flows.nightly import run
            from flows.report import print_report

        report = run(profile, overrides or [])
        print_report(report, console)
    if report.problems:
        raise typer.Exit(1)


@app.command()
def alerts(
    url: Annotated[
        str,
        typer.Option("--url", envvar="AURA_ALERT_URL", help='takes a POST of {"text": ...}: Slack, Mattermost, ntfy'),
    ] = "",
    within_hours: Annotated[float, typer.Option(help="a night must end well at least once in so many hours")] = 26.0,
    every_night: Annotated[bool, typer.Option("--every-night", help="tell of good nights as well")] = False,
    block: Annotated[
        str,
        typer.Option(help="TYPE/NAME of a notification block of the server, in place of --url: sendgrid-email/NAME"),
    ] = "",
) -> None:
    """Let the Prefect server (`PREFECT_API_URL`) send a message when a night fails or is missing, or a maintenance fails."""
    if not (url or block):
        raise typer.BadParameter("name whom to tell: --url ADDRESS, or --block TYPE/NAME")
    wait_for_server(_given_server("alerts come from the server that runs the schedule"))
    from flows.alerts import set_up_alerts

    for name in set_up_alerts(url, within_hours, every_night=every_night, block=block):
        typer.echo(f"set up: {name}")


@app.command()
def worker() -> None:
    """Run the nights that the schedule of the Prefect server (`PREFECT_API_URL`) asks for, until it is stopped.

    First it tells the server which nights died with this machine; then it becomes `prefect worker start`.
    """
    _given_server("the worker asks it which nights are due")
    from flows.platform.schedule import POOL
    from flows.worker import end_dead_runs

    for name in end_dead_runs():
        typer.echo(f"died with this machine: {name}")
    sys.stdout.flush()
    # On SIGTERM the worker sends itself a SIGINT, which a background process of a shell ignores: it would never end.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"])


def _given_server(reason: str) -> str:
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        raise SettingsError(
            f"PREFECT_API_URL is not set: {reason}", hint="export PREFECT_API_URL=http://127.0.0.1:4200/api"
        )
    return url


@app.command()
def train(
    model: Annotated[str, typer.Argument(help=" | ".join(MODELS))],
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
    force: Annotated[bool, typer.Option(help="train also when nothing changed")] = False,
) -> None:
    """Train and evaluate one model (after `prepare`, if that has something to do). Registers nothing."""
    from aura.registry import Registry
    from flows.cli.pipeline import open_workspace
    from flows.promotion import fetch_champions
    from flows.stages import run_stage

    if model not in MODELS:
        raise typer.BadParameter(f"unknown model {model!r}; choose one of {', '.join(MODELS)}")
    with open_workspace(profile, overrides) as workspace:
        champions = fetch_champions(workspace, Registry(workspace.profile.tracking, workspace.profile.profile))
        for problem in champions.problems.values():
            typer.echo(f"warning: {problem}", err=True)
        if force:  # with the last checkpoint of a finished training there would be nothing to do
            shutil.rmtree(workspace.folder / "checkpoints" / model, ignore_errors=True)
        limit = workspace.profile.night.stage_timeout_minutes * 60
        for stage in ("prepare", f"train_{model}", f"evaluate_{model}"):
            result = run_stage(workspace, stage, timeout_seconds=limit, force=force and stage != "prepare")
            typer.echo(f"{stage}: {'done' if result.ran else 'nothing to do'} after {result.seconds:.0f} s")
        typer.echo(f"artifact: {workspace.folder / 'models' / model}")


@app.command()
def tidy(
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would be removed")] = False,
) -> None:
    """Remove what nights have left and nothing needs (`night.keep_*`), as every night does at its end."""
    from aura.registry import Registry
    from flows.cli.pipeline import open_workspace
    from flows.retention import removable, remove

    with open_workspace(profile, overrides) as workspace:
        registry = Registry(workspace.profile.tracking, workspace.profile.profile)
        found = (
            removable(workspace, registry)
            if dry_run
            else remove(workspace, registry, new_snapshot=True, say=typer.echo)
        )
    verb = "would remove" if dry_run else "removed"
    for line in found.summary() or ["nothing: everything is needed"]:
        typer.echo(f"{verb} {line}")


def main() -> None:
    """Run the command line; an `AuraError`, or a place that cannot be written, becomes two readable lines and exit code 2."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    # The last collection walks all that MLflow has made, most of a second, for memory that goes with the process anyway.
    atexit.register(gc.freeze)
    try:
        keep_private()
        exempt_loopback()
        if os.environ.get("AURA_HOME"):  # a relative one would be another folder for every process started from here
            os.environ["AURA_HOME"] = str(home())
        app()
    except AuraError as error:
        _show(error)
        sys.exit(2)
    except OSError as error:
        told = told_storage_error(error)
        if told is None:
            raise
        _show(told)
        sys.exit(2)


def _show(error: AuraError) -> None:
    console = Console(stderr=True)
    console.print(f"[bold red]error[/] ({error.code}): ", end="")
    console.print(error.message, markup=False, highlight=False, soft_wrap=True)
    if error.hint:
        console.print("[bold]hint[/]: ", end="")
        console.print(error.hint, markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
