"""`aura db`: the schema of the database, and a shell in it."""

from __future__ import annotations

import json
import os
import subprocess

import typer

from flows.cli.options import JsonOption
from stores.settings import DatabaseSettings

app = typer.Typer(no_args_is_help=True, help="The database with what people have: schema and shell.")
_SECONDS = DatabaseSettings().start_seconds


@app.command()
def upgrade() -> None:
    """Bring the schema up to date. Services do so at their start; a schema that is newer than this code is refused."""
    from flows.database import database
    from stores import schema

    with database(_SECONDS) as url:
        before = schema.upgrade(url)
    for step in before.pending:
        typer.echo(f"done: {step}")
    typer.echo(f"the schema is at {before.newest}")


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Where the schema stands, and which steps are ahead. Exit code 1: there are some."""
    from flows.database import database
    from stores import schema
    from stores.address import shown

    with database(_SECONDS) as url:
        found = schema.status(url)
        place = shown(url)
    if as_json:
        typer.echo(json.dumps({"current": found.current, "newest": found.newest, "pending": found.pending}, indent=2))
    else:
        typer.echo(f"{place}: schema at {found.current or 'nothing'}, this code needs {found.newest}")
        for step in found.pending:
            typer.echo(f"ahead: {step}")
    raise typer.Exit(0 if found.is_current else 1)


@app.command()
def shell() -> None:
    """Open psql."""
    from flows.database import database
    from stores.address import without_password
    from stores.postgres_programs import program

    with database(_SECONDS) as url:
        address, environment = without_password(url)
        code = subprocess.run([program("psql"), address], env=os.environ | environment, check=False).returncode
    raise typer.Exit(code)
