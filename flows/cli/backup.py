"""`aura backup`: keep what cannot be made again, and bring it back."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer

from aura.errors import BackupError
from aura.paths import home
from flows.cli.options import JsonOption, ProfileOption, SetOption
from flows.profile import Profile, load_profile

if TYPE_CHECKING:
    from flows.backup.repository import Repository

app = typer.Typer(
    no_args_is_help=True,
    help="What cannot be made again, as of one moment: database, models, index, data, nights, pictures and keys.",
)


@app.command()
def create(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Make a backup of the home folder, all profiles, while everything serves; nights and promotions wait for a moment."""
    from flows.database import database

    settings = load_profile(profile, overrides or ())
    with database(settings.serving.database.start_seconds) as url:
        make_backup(settings, url)


def make_backup(settings: Profile, database_url: str) -> None:
    """Make one, and say what is in it."""
    from aura.scratch import scratch_folder
    from flows.backup.contents import collect

    repository = _repository(settings)
    with scratch_folder(home() / "backups", ".collecting-") as folder:
        manifest = collect(home(), folder, database_url, _serving(settings), _elsewhere(settings))
        made = repository.create(folder)
    typer.echo(f"{made}: {', '.join(['database', *manifest.folders])}; {manifest.release or 'nothing serves yet'}")
    for store in manifest.elsewhere:
        typer.echo(f"not in it, as it lies elsewhere: {store}")
    typer.echo("the keys that sign tokens and decrypt texts are in it, under secrets/")


@app.command("list")
def list_backups(profile: ProfileOption = "sample", overrides: SetOption = None, as_json: JsonOption = False) -> None:
    """List whole backups, newest first."""
    found = _repository(load_profile(profile, overrides or ())).list()
    if as_json:
        typer.echo(json.dumps([{"id": each.id, "created": each.created.isoformat()} for each in found], indent=2))
        return
    for backup in found:
        typer.echo(f"{backup.id}  {backup.created:%Y-%m-%d %H:%M:%S %Z}")
    if not found:
        typer.echo("there are no backups; `aura backup create` makes one")


@app.command()
def verify(profile: ProfileOption = "sample", overrides: SetOption = None) -> None:
    """Read everything that was kept, and compare it with its hashes."""
    repository = _repository(load_profile(profile, overrides or ()))
    repository.verify()
    typer.echo(f"{len(repository.list())} backups are what was written")


@app.command()
def restore(
    backup: Annotated[str, typer.Argument(help="id that `aura backup list` shows, or latest")],
    profile: ProfileOption = "sample",
    overrides: SetOption = None,
) -> None:
    """Bring a backup into an empty home folder (`AURA_HOME`), which may lie anywhere, and an empty database."""
    from aura.scratch import scratch_folder
    from flows.backup.contents import DATABASE, MANIFEST, Manifest, occupied, place
    from flows.backup.repository import find
    from flows.database import database
    from stores.address import given_url
    from stores.dump import load
    from stores.feedback import wait_again

    settings = load_profile(profile, overrides or ())
    there = occupied(home()) + (["postgres"] if not given_url() and (home() / "postgres").exists() else [])
    if there:
        raise BackupError(
            f"{home()} holds {', '.join(there)}; a backup is restored into a home without them",
            hint="name a new one: AURA_HOME=FOLDER aura backup restore ... --set backup.repository=PLACE",
        )
    repository = _repository(settings)
    found = find(repository, backup)
    with scratch_folder(home(), ".restoring-") as folder:
        repository.fetch(found, folder)
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_text(encoding="utf-8"))
        with database(settings.serving.database.start_seconds) as url:
            load(folder / DATABASE, url)
            wait_again(url)
        place(folder, home())
    typer.echo(
        f"{home()} is as it was at {manifest.created:%Y-%m-%d %H:%M:%S} UTC; {manifest.release or 'nothing serves'}"
    )
    for store in manifest.elsewhere:
        typer.echo(f"not in the backup, as it lay elsewhere: {store}")


def _repository(settings: Profile) -> Repository:
    from flows.backup.repository import open_repository

    return open_repository(settings.backup, home())


def _serving(settings: Profile) -> str:
    """What serves, in words."""
    from aura.registry import Registry
    from aura.releases import Releases
    from aura.tracking import store_exists
    from flows.upgrade.library_databases import mlflow_database

    if not settings.tracking.enabled or not store_exists(settings.tracking):
        return ""
    if (behind := mlflow_database(settings.tracking).look()).steps:  # to open it would be to change it
        return f"MLflow's database at {behind.stands}, from before an upgrade"
    return str(Releases(Registry(settings.tracking, settings.profile)).serving() or "")


def _elsewhere(settings: Profile) -> list[str]:
    """Stores that do not lie in the home."""
    from bentos.accounts.pictures import FOLDER as PICTURES
    from bentos.accounts.signing_keys import FOLDER as TOKEN_KEYS
    from stores.encryption import FOLDER as TEXT_KEYS

    named = {
        "MLflow": settings.tracking.uri, "MLflow's artifacts": settings.tracking.artifacts,
        "the index": settings.index.uri, "DVC's remote": settings.night.remote,
    }  # fmt: skip
    named |= {name: os.environ.get(name, "") for name in (TOKEN_KEYS, TEXT_KEYS, PICTURES)}
    return [f"{store} ({uri})" for store, uri in named.items() if uri]
