"""`aura upgrade`: what a newer code wants of every store, and to bring it there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from aura.errors import UpgradeError
from aura.paths import home, profile_paths
from flows.cli.options import JsonOption, ProfileOption, SetOption
from flows.profile import Profile, load_profile

if TYPE_CHECKING:
    from flows.backup.repository import Repository
    from flows.upgrade.run import Plan
    from flows.upgrade.store import Store

app = typer.Typer(no_args_is_help=True, help="After `make setup` of a newer Aura: bring every store to what it wants.")
NOTHING, AHEAD, REFUSED = 0, 1, 3
"""Exit codes of `check`; 2 is that of every error."""
_COLUMNS = 80

BackedUpOption = Annotated[
    list[str] | None,
    typer.Option("--backed-up", metavar="STORE", help="a store of which you have made a copy yourself; repeatable"),
]


@app.command()
def check(
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
    backed_up: BackedUpOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say where every store stands and what `run` would do; changes nothing.

    Exit code 0: nothing is to be done. 1: `run` would do it. 3: `run` would refuse, or something is left to you; it is said.
    """
    from flows.backup.repository import open_repository
    from flows.upgrade.run import plan

    settings = load_profile(profile, overrides or ())
    with _stores(settings, profile) as stores:
        found = plan(stores, lambda: open_repository(settings.backup, home()), backed_up or ())
    if as_json:
        typer.echo(json.dumps(_as_dict(found), indent=2))
    else:
        _show(found)
    stopped = found.refusals or found.advice
    raise typer.Exit(REFUSED if stopped else AHEAD if found.ahead else NOTHING)


@app.command()
def run(
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
    backup: Annotated[bool, typer.Option("--backup", help="make a backup first, if what is ahead needs one")] = False,
    backed_up: BackedUpOption = None,
) -> None:
    """Bring every store up to date, or change nothing and say why; run it again after a kill.

    What uses a store that changes must be stopped (`aura down`). What cannot be undone needs a backup of what lies there now.
    """
    from flows.backup.contents import still
    from flows.backup.repository import open_repository
    from flows.cli.backup import make_backup
    from flows.database import database
    from flows.platform.parts import supervisor_folders
    from flows.platform.supervisor import Supervisor
    from flows.upgrade.run import plan
    from flows.upgrade.run import run as upgrade

    if Supervisor(*supervisor_folders()).process():
        raise UpgradeError(
            "nothing was upgraded: everything is up, and a store is changed when nobody uses it",
            hint="`aura down`, then run it again",
        )
    settings, copied = load_profile(profile, overrides or ()), backed_up or ()

    def repository() -> Repository:
        return open_repository(settings.backup, home())

    with _stores(settings, profile) as stores:
        if backup:
            found = plan(stores, repository, copied)
            if found.backup and not found.refusals:
                with database(settings.serving.database.start_seconds) as url:
                    make_backup(settings, url)
        with still(home(), releases=False):  # the last store is their list
            upgrade(stores, repository, copied, typer.echo)


@contextmanager
def _stores(settings: Profile, profile: str) -> Iterator[list[Store]]:
    """The stores of this home, in the order in which they are upgraded; none is made."""
    from flows.database import database
    from flows.upgrade.library_databases import mlflow_database, prefect_database
    from flows.upgrade.packages import Packages
    from flows.upgrade.postgres import PeoplesDatabase
    from flows.upgrade.served import ReleaseList, ServedIndex
    from stores.address import given_url

    index = settings.index.address(profile_paths(settings.profile))
    mlflow = mlflow_database(settings.tracking)
    there = given_url() or (home() / "postgres" / "data").is_dir()
    with database(settings.serving.database.start_seconds) if there else nullcontext() as url:
        yield [
            Packages(), PeoplesDatabase(url), mlflow, prefect_database(), ServedIndex(index, profile),
            ReleaseList(settings.tracking, mlflow, settings.profile, index),
        ]  # fmt: skip


def _show(found: Plan) -> None:
    table = Table("store", "stands at", "wanted", "`run` would", box=box.SIMPLE_HEAD, pad_edge=False)
    for store, standing in found.stores:
        does = "refuse" if standing.refusal else _counted(standing.steps)
        table.add_row(store.name, standing.stands, standing.wanted or "-", does)
    console = Console(width=_COLUMNS)
    console.print(table)
    notes = [f"refused: {refusal}" for refusal in found.refusals] + [
        f"left to you: {advice}" for advice in found.advice
    ]
    if found.backup:
        notes.append(f"{found.backup}: `aura upgrade run --backup` makes one first")
    for note in notes:
        console.print(note, markup=False, highlight=False)


def _counted(steps: tuple[str, ...]) -> str:
    return "do nothing" if not steps else "take 1 step" if len(steps) == 1 else f"take {len(steps)} steps"


def _as_dict(found: Plan) -> dict[str, Any]:
    return {
        "stores": {store.name: asdict(standing) for store, standing in found.stores},
        "refusals": list(found.refusals),
        "advice": found.advice,
        "backup": found.backup,
    }
