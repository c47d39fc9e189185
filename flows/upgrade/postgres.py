"""The database with what people have. Its schema is migrated by `stores.schema`, all steps in one transaction."""

from __future__ import annotations

import psycopg

from aura.errors import DatabaseError, DatabaseUnavailableError
from flows.backup.contents import DATABASE
from flows.upgrade.store import Standing, Store
from stores import schema
from stores.dump import write_count

CONNECTED = """
    SELECT pid, application_name FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
"""Other clients of the database that is asked."""


class PeoplesDatabase(Store):
    """The database.

    Args:
        url: its address, as libpq takes it; None: this home has none yet.
    """

    name = "database"
    can_be_undone = False
    kept_as = DATABASE

    def __init__(self, url: str | None) -> None:
        self._url = url

    def look(self) -> Standing:
        if self._url is None:
            return Standing(stands="none yet", wanted="")
        try:
            found = schema.status(self._url)
        except DatabaseUnavailableError:
            raise
        except DatabaseError as error:
            return Standing(stands="unknown", wanted="", refusal=f"{error.message}: {error.hint}")
        if found.current is None:  # services make the tables at their first start
            return Standing(stands="empty", wanted="")
        return Standing(stands=found.current, wanted=found.newest, steps=tuple(found.pending))

    def migrate(self) -> None:
        schema.upgrade(self._opened)

    def users(self) -> list[str]:
        with psycopg.connect(self._opened) as connection:
            rows = connection.execute(CONNECTED).fetchall()
        return [client(*row) for row in rows]

    def state(self) -> str:
        return write_count(self._opened)

    @property
    def _opened(self) -> str:
        if self._url is None:
            raise ValueError("there is no database to migrate")
        return self._url


def client(pid: int, name: str) -> str:
    """A client of PostgreSQL, for people."""
    return f"a client of PostgreSQL ({name or 'without a name'}, backend {pid})"
