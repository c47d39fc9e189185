"""The MLflow store of a home without a server: a SQLite file with its artifacts beside it.

MLflow records where artifacts lie as absolute addresses, so a store that was moved with its home, or copied, would go on
writing to the old place. They are set to the present place whenever the store is opened.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from aura.creation import creating, unfinished
from aura.errors import RegistryError
from aura.paths import home

_SQLITE = "sqlite:///"
_CREATION_SECONDS = 120.0
_DEFAULT = "Default"
_ADDRESSES = {
    "runs": ("artifact_uri",),
    "model_versions": ("source", "storage_location"),
    "logged_models": ("artifact_location",),
}
"""Tables of MLflow and their columns that hold an address below that of an experiment."""

logger = logging.getLogger(__name__)


def database_file(uri: str) -> Path | None:
    """The file of a SQLite URI; None for a server or another database."""
    return Path(uri.removeprefix(_SQLITE).partition("?")[0]) if uri.startswith(_SQLITE) else None


def is_database(uri: str) -> bool:
    """Whether MLflow's client opens a database itself, without a server that knows where artifacts belong."""
    return uri.partition(":")[0].partition("+")[0] in {"sqlite", "postgresql", "mysql", "mssql"}


def artifact_root(uri: str) -> Path:
    """Folder of the artifacts of a database: beside a SQLite file, else in the home."""
    database = database_file(uri)
    return (database.parent if database else home() / "mlflow") / "artifacts"


def artifact_location(root: Path, experiment: str) -> str:
    """Address of an experiment's artifacts below the folder of all artifacts."""
    return (root / experiment.replace("/", "-")).as_uri()


def make_ready(uri: str, database: Path) -> None:
    """Create the store if it is missing; one process does, the others wait.

    Raises:
        BusyError: another process is not done with it after two minutes.
    """
    if database.is_file() and not unfinished(database).exists():
        return
    with creating(database, _CREATION_SECONDS):
        from mlflow import MlflowClient

        client = MlflowClient(uri, registry_uri=uri)  # not what MLFLOW_REGISTRY_URI names
        client.search_experiments(max_results=1)
        client.search_registered_models(max_results=1)
        # MLflow makes its experiment `Default` itself, with the working directory of this process as the place of its artifacts.
        location = artifact_location(artifact_root(uri), _DEFAULT)
        with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
            connection.execute("UPDATE experiments SET artifact_location = ? WHERE name = ?", (location, _DEFAULT))


def follow_move(database: Path) -> None:
    """Set every address to where the store lies now; does nothing when it was not moved.

    An experiment that keeps its artifacts somewhere else is left alone.

    Raises:
        RegistryError: the store cannot be written.
    """
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        try:
            experiments = connection.execute("SELECT name, artifact_location FROM experiments").fetchall()
        except sqlite3.Error:
            return  # what is wrong with it is said by MLflow, which opens it next
        moved = {}
        for name, old in experiments:
            new = artifact_location(database.parent / "artifacts", name)
            if old != new and str(old).startswith("file:") and str(old).split("/")[-2:] == new.split("/")[-2:]:
                moved[old] = new
        if not moved:
            return
        try:
            _rewrite(connection, moved)
        except sqlite3.OperationalError as error:
            raise RegistryError(
                f"the home was moved, and {database} still has the addresses of the old place: {error}",
                hint="make the file and its folder writable",
            ) from error
        logger.warning("the home was moved: %d experiments of %s have their artifacts here now", len(moved), database)


def _rewrite(connection: sqlite3.Connection, moved: Mapping[str, str]) -> None:
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    with connection:  # one transaction
        for old, new in moved.items():
            connection.execute("UPDATE experiments SET artifact_location = ? WHERE artifact_location = ?", (new, old))
            for table in tables & _ADDRESSES.keys():
                for column in _ADDRESSES[table]:
                    connection.execute(
                        f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?",
                        (new, len(old) + 1, len(old) + 1, f"{old}/"),
                    )
