"""The databases of MLflow and Prefect, whose own Alembic migrations bring them up to date."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from aura.creation import creating, unfinished
from aura.errors import DatabaseError, DatabaseUnavailableError
from aura.paths import home
from aura.supervision import watched, watched_environment
from aura.tracking import TrackingSettings, store_address
from flows.backup.contents import MLFLOW, PREFECT, sqlite_state
from flows.prefect_server import PREFECT_DATABASE_URL, quiet_environment
from flows.upgrade.postgres import CONNECTED, client
from flows.upgrade.sqlite_copy import processes_with, replace_migrated
from flows.upgrade.store import Standing, Store
from stores.schema import SchemaStatus, read_status

_LOCK_SECONDS = 120.0


class LibraryDatabase(Store):
    """A database that a library migrates.

    Args:
        url: a SQLite file or another database, with a driver that blocks.
        scripts: reads the library's migrations.
        upgrade: takes all steps that are ahead in a database.
        kept_as: as in `Store`, for the file that a backup holds.
    """

    can_be_undone = False

    def __init__(
        self,
        *,
        name: str,
        library: str,
        url: URL,
        scripts: Callable[[], ScriptDirectory],
        upgrade: Callable[[URL], None],
        kept_as: str,
    ) -> None:
        self.name, self._library, self._url = name, library, url
        self._scripts, self._upgrade = scripts, upgrade
        self._file = Path(url.database).resolve() if url.get_backend_name() == "sqlite" and url.database else None
        self.kept_as = kept_as if self._file == (home() / kept_as).resolve() else ""

    def look(self) -> Standing:
        if self._file is not None and (not self._file.is_file() or unfinished(self._file).exists()):
            return Standing(stands="none yet", wanted="")
        try:
            found = self._status()
        except DatabaseUnavailableError:
            raise
        except DatabaseError as error:
            return Standing(stands="unknown", wanted="", refusal=f"{error.message}: {error.hint}")
        if found.current is None:  # its library makes the tables at the first use
            return Standing(stands="empty", wanted="")
        return Standing(stands=found.current, wanted=found.newest, steps=tuple(found.pending))

    def migrate(self) -> None:
        if self._file is None:
            self._upgrade(self._url)
            return
        with creating(self._file, _LOCK_SECONDS):  # nobody makes it meanwhile
            replace_migrated(self._file, lambda copy: self._upgrade(self._url.set(database=str(copy))))

    def users(self) -> list[str]:
        if self._file is not None:
            return processes_with(self._file)
        if self._url.get_backend_name() != "postgresql":
            return []
        with self._connected() as connection:
            return [client(*row) for row in connection.execute(text(CONNECTED)).all()]

    def state(self) -> str:
        return sqlite_state(self._file) if self._file is not None else ""

    def _status(self) -> SchemaStatus:
        with self._connected() as connection:
            shown = self._file or self._url.render_as_string(hide_password=True)
            return read_status(connection, self._scripts(), f"{self._library}'s database {shown}", self._library)

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        try:
            engine = create_engine(self._url, poolclass=NullPool)
        except ImportError as error:
            raise DatabaseError(
                f"the driver of {self._library}'s database is not installed: {error}",
                hint="for PostgreSQL write postgresql+psycopg://",
            ) from error
        try:
            with engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise DatabaseUnavailableError(
                f"{self._library}'s database {self._url.render_as_string(hide_password=True)} cannot be read: {error}",
                hint="start its server, or correct its address",
            ) from error
        finally:
            engine.dispose()


class Elsewhere(Store):
    """A store of a server that is not ours, which is migrated there."""

    def __init__(self, name: str) -> None:
        self.name = name

    def look(self) -> Standing:
        return Standing(stands="on its server", wanted="")


def mlflow_database(settings: TrackingSettings) -> Store:
    """The store of runs and models."""
    address = store_address(settings)
    if address.startswith(("http://", "https://")):
        return Elsewhere("mlflow")
    return LibraryDatabase(
        name="mlflow", library="MLflow", url=make_url(address), kept_as=MLFLOW,
        scripts=_mlflow_scripts, upgrade=_upgrade_mlflow,
    )  # fmt: skip


@cache
def _mlflow_scripts() -> ScriptDirectory:
    return ScriptDirectory(str(_mlflow_migrations()))


def _mlflow_migrations() -> Path:
    return _folder_of("mlflow") / "store" / "db_migrations"


def _upgrade_mlflow(url: URL) -> None:
    """As `mlflow db upgrade` does, which would show a password of the address in the list of processes."""
    config = Config()
    config.set_main_option("script_location", str(_mlflow_migrations()).replace("%", "%%"))
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "heads")
    finally:
        engine.dispose()


def prefect_database() -> Store:
    """The database of a Prefect server of this home, or of the server whose variables are set here."""
    if given := os.environ.get(PREFECT_DATABASE_URL):
        url = make_url(given)
    elif os.environ.get("PREFECT_API_URL") and not (home() / PREFECT).is_file():
        return Elsewhere("prefect")
    else:
        url = URL.create("sqlite", database=str(home() / PREFECT))
    dialect = url.get_backend_name()
    driver = {"sqlite": "sqlite", "postgresql": "postgresql+psycopg"}.get(dialect, dialect)
    return LibraryDatabase(
        name="prefect", library="Prefect", url=url.set(drivername=driver), kept_as=PREFECT,
        scripts=lambda: _prefect_scripts(dialect), upgrade=_upgrade_prefect,
    )  # fmt: skip


@cache
def _prefect_scripts(dialect: str) -> ScriptDirectory:
    os.environ |= quiet_environment()  # its migrations import Prefect, which reads them then
    folder = _folder_of("prefect") / "server" / "database" / "_migrations"
    return ScriptDirectory(str(folder), version_locations=[str(folder / "versions" / dialect)])


def _upgrade_prefect(url: URL) -> None:
    driver = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}[url.get_backend_name()]
    address = url.set(drivername=driver).render_as_string(hide_password=False)
    done = subprocess.run(
        watched("prefect", "server", "database", "upgrade", "--yes"),
        env=watched_environment() | quiet_environment() | {PREFECT_DATABASE_URL: address},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise DatabaseError(
            f"Prefect could not migrate its database:\n{(done.stderr or done.stdout).strip()[-2000:]}",
            hint="its database is as it was, or at one of its steps; run it again when that is mended",
        )


def _folder_of(library: str) -> Path:
    """Folder of an installed library, without importing it."""
    found = find_spec(library)
    if found is None or found.origin is None:
        raise DatabaseError(f"{library} is not installed here", hint="make setup")
    return Path(found.origin).parent
