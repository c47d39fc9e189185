"""Where the database is: `AURA_DATABASE_URL`, an address as libpq takes it.

It is read from the environment alone. A setting would be logged with every run, and the address may hold a password.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from aura.errors import SettingsError

DATABASE_URL = "AURA_DATABASE_URL"
"""Environment variable with the address, for example `postgresql://aura_user@db.example/aura_platform`."""


def given_url(environ: Mapping[str, str] | None = None) -> str:
    """The address that the environment names; empty when it names none.

    Raises:
        SettingsError: it is no address of a PostgreSQL server.
    """
    url = (os.environ if environ is None else environ).get(DATABASE_URL, "")
    if not url:
        return ""
    try:
        conninfo_to_dict(url)
    except ProgrammingError:  # its text quotes the address, with the password
        known = False
    else:
        known = url.startswith(("postgresql://", "postgres://"))
    if not known:
        raise SettingsError(
            f"{DATABASE_URL} is no address of a PostgreSQL server",
            hint="postgresql://USER@HOST:5432/DATABASE; the password in it (percent-encoded), in PGPASSWORD or in ~/.pgpass",
        )
    return url


def required_url(environ: Mapping[str, str] | None = None) -> str:
    """The address that the environment names.

    Raises:
        SettingsError: it names none, or no PostgreSQL server.
    """
    url = given_url(environ)
    if not url:
        raise SettingsError(
            f"{DATABASE_URL} is not set: this process keeps what people have in PostgreSQL",
            hint="start the services with `aura serve`, which starts a server where none is named, or name one",
        )
    return url


def shown(url: str) -> str:
    """What of an address may stand in a log: host and database."""
    parts = conninfo_to_dict(url)
    return f"{parts.get('dbname', '')} at {parts.get('host', 'localhost')}:{parts.get('port', '5432')}"


def without_password(url: str) -> tuple[str, dict[str, str]]:
    """An address that may stand in the list of processes, and its password as a variable of PostgreSQL's programs."""
    parts = urlsplit(url)
    if not parts.password:
        return url, {}
    user, _, place = parts.netloc.rpartition("@")
    bare: Any = parts._replace(netloc=f"{user.partition(':')[0]}@{place}")
    return bare.geturl(), {"PGPASSWORD": unquote(parts.password)}
