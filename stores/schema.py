"""The schema of the database: brought up to date under an advisory lock, or refused in words when it is newer than this code.

Alembic runs the steps of `stores/migrations/versions`, which are SQL. All steps of a call are one transaction: a process that is
killed leaves the schema as it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import NullPool

from aura.errors import DatabaseError, DatabaseUnavailableError
from stores.address import shown

_LOCK = 0x41555241
"""Key of the advisory lock: the letters AURA."""
_LOCK_SECONDS = 120
_CONNECT_SECONDS = 10
_FOLDER = Path(__file__).parent / "migrations"


@dataclass(frozen=True, kw_only=True)
class SchemaStatus:
    """Where a database stands.

    Attributes:
        current: its revision; None when it has no schema yet.
        newest: the revision that this code needs.
        pending: steps that `upgrade` would take, oldest first, as number and title.
    """

    current: str | None
    newest: str
    pending: list[str]

    @property
    def is_current(self) -> bool:
        return self.current == self.newest


def upgrade(url: str) -> SchemaStatus:
    """Bring the schema up to date, one process at a time; returns what it was before.

    Raises:
        DatabaseError: the schema is newer than this code, or a step fails.
        DatabaseUnavailableError: the server is away, or another process migrates for too long.
    """
    with _connected(url) as connection:
        _lock(connection, url)
        before = _status(connection, url)
        if not before.is_current:
            config = Config(attributes={"connection": connection})
            config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
            command.upgrade(config, "head")
        connection.commit()
        return before


def status(url: str) -> SchemaStatus:
    """Where the database stands.

    Raises:
        DatabaseError: the schema is newer than this code.
        DatabaseUnavailableError: the server is away.
    """
    with _connected(url) as connection:
        return _status(connection, url)


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    # psycopg reads the address: SQLAlchemy's own form has no place for some of libpq's.
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(url, connect_timeout=_CONNECT_SECONDS),
        poolclass=NullPool,
    )
    try:
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        raise DatabaseUnavailableError(
            f"the database {shown(url)} does not answer: {error.orig}", hint="start it, or correct AURA_DATABASE_URL"
        ) from error
    except DBAPIError as error:
        raise DatabaseError(
            f"the schema of {shown(url)} cannot be read or changed: {error.orig}",
            hint="give the user of AURA_DATABASE_URL the right to do so, or restore a backup",
        ) from error
    finally:
        engine.dispose()


def _lock(connection: Connection, url: str) -> None:
    """Held by the transaction, so that no connection can leave it behind."""
    connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_SECONDS}s'"))
    try:
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    except OperationalError as error:
        if isinstance(error.orig, psycopg.errors.LockNotAvailable):
            raise DatabaseUnavailableError(
                f"another process has been changing the schema of {shown(url)} for {_LOCK_SECONDS} s",
                hint="wait for it, or end it: SELECT * FROM pg_locks WHERE locktype = 'advisory'",
            ) from error
        raise


def _status(connection: Connection, url: str) -> SchemaStatus:
    return read_status(connection, ScriptDirectory(str(_FOLDER)), f"the schema of {shown(url)}", "Aura")


def read_status(connection: Connection, scripts: ScriptDirectory, what: str, program: str) -> SchemaStatus:
    """Where a database stands among the steps of whoever migrates it with Alembic, one after the other.

    Args:
        what: the database, for people.
        program: whose steps they are.

    Raises:
        DatabaseError: it is at a step that is not among them.
    """
    steps = {step.revision: step for step in reversed([*scripts.walk_revisions()])}
    newest = [*steps][-1]
    current = MigrationContext.configure(connection).get_current_revision()
    if current is not None and current not in steps:
        raise DatabaseError(
            f"{what} is at {current}, which this code does not know: it ends at {newest}",
            hint=f"a newer {program} has used this database; start that one, or restore a backup from before its upgrade",
        )
    numbers = [*steps]
    pending = numbers[numbers.index(current) + 1 :] if current else numbers
    return SchemaStatus(current=current, newest=newest, pending=[f"{number} {steps[number].doc}" for number in pending])
