"""A database as one file, by PostgreSQL's own programs: `pg_dump` reads it as it was at one moment, while it serves."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psycopg

from aura.errors import DatabaseError
from stores.address import shown, without_password
from stores.postgres_programs import program


def dump(url: str, file: Path) -> None:
    """Write a database to a file, in PostgreSQL's custom format: compressed, and without owners.

    Raises:
        DatabaseError: pg_dump refuses it; carries its words.
        StartError: pg_dump is not on this machine.
    """
    _run("pg_dump", url, "--format=custom", "--no-owner", "--no-privileges", f"--file={file}")


def load(file: Path, url: str) -> None:
    """Fill an empty database from a file that `dump` wrote, whole or not at all.

    Raises:
        DatabaseError: the database holds tables, or pg_restore refuses the file.
        StartError: pg_restore is not on this machine.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        ).fetchone()
        if found != (0,):
            raise DatabaseError(
                f"the database {shown(url)} holds tables; a backup is restored into an empty one",
                hint="make a new one (CREATE DATABASE), and name it in AURA_DATABASE_URL",
            )
    _run("pg_restore", url, "--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction", str(file))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ANALYZE")  # what the planner knows of tables is in no dump


def write_count(url: str) -> str:
    """What the server has counted of writes to the tables of a database: another text means that something was written since.

    A server that crashed counts anew, which is another text as well.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "SELECT coalesce(sum(n_tup_ins + n_tup_upd + n_tup_del), 0), md5(string_agg(relid::text, ' ' ORDER BY relid)) "
            "FROM pg_stat_user_tables"
        ).fetchone()
    return " ".join(map(str, row or ()))


def _run(name: str, url: str, *arguments: str) -> None:
    address, environment = without_password(url)
    done = subprocess.run(
        [program(name), f"--dbname={address}", *arguments], env=os.environ | environment,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DatabaseError(f"{name} failed on {shown(url)}:\n{done.stderr.strip()[-2000:]}")
