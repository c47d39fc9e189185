"""MLflow's and Prefect's databases as earlier releases of theirs left them, by their own migrations, with something in them."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from flows.prefect_server import PREFECT_DATABASE_URL
from flows.upgrade.library_databases import _mlflow_migrations

MLFLOW_REVISION = "c3d6457b6d8a"
"""The newest of MLflow's migrations in March 2026."""
PREFECT_REVISION = "8bb517bae6f9"
"""The newest of Prefect's in summer 2025."""
RUN, LOSS, FLOW = "0123456789abcdef0123456789abcdef", 0.25, "the night of an earlier release"
_HANG_SECONDS = 200


def make_mlflow(url: URL) -> None:
    """A store with a run, and a version of the detector that is the champion of profile `sample`."""
    from mlflow.store.tracking.dbmodels.initial_models import Base

    engine = create_engine(url, poolclass=NullPool)
    Base.metadata.create_all(engine)  # as MLflow begins
    config = Config()
    config.set_main_option("script_location", str(_mlflow_migrations()))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, MLFLOW_REVISION)
    with engine.begin() as connection:
        for statement in (
            "INSERT INTO experiments (experiment_id, name, lifecycle_stage, artifact_location) "
            "VALUES (7, 'sample/detection', 'active', 'file:///nowhere')",
            "INSERT INTO runs (run_uuid, name, user_id, experiment_id, status, lifecycle_stage, artifact_uri, start_time) "
            f"VALUES ('{RUN}', 'detection', 'aura', 7, 'FINISHED', 'active', 'file:///nowhere/{RUN}', 1)",
            "INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) "
            f"VALUES ('{RUN}', 'loss', {LOSS}, 1, 3, false)",
            "INSERT INTO registered_models (name, creation_time) VALUES ('sample.detection', 1)",
            "INSERT INTO model_versions (name, version, run_id, source, creation_time, current_stage, status) "
            f"VALUES ('sample.detection', 1, '{RUN}', 'file:///nowhere', 1, 'None', 'READY')",
            "INSERT INTO registered_model_aliases (name, alias, version) VALUES ('sample.detection', 'champion', 1)",
        ):
            connection.exec_driver_sql(statement)
    engine.dispose()


def make_prefect(database: Path) -> None:
    """A server's SQLite file with a flow."""
    database.parent.mkdir(parents=True, exist_ok=True)
    _prefect(database, "-m", "prefect", "server", "database", "upgrade", "--yes", "--revision", PREFECT_REVISION)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO flow (id, name, tags, labels) VALUES ('00000000-0000-0000-0000-000000000007', ?, '[]', '{}')",
            [FLOW],
        )


def read_prefect(database: Path) -> str:
    """Name of the flow, as Prefect's own models read it."""
    return _prefect(database, "-c", _READ)


_READ = """
import asyncio
from prefect.server.database import provide_database_interface
from prefect.server.models.flows import read_flows

async def main():
    async with provide_database_interface().session_context() as session:
        print("FLOW", [flow.name for flow in await read_flows(session)][0])

asyncio.run(main())
"""


def _prefect(database: Path, *arguments: str) -> str:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PREFECT_")}
    environment = kept | {"PREFECT_HOME": str(database.parent), PREFECT_DATABASE_URL: f"sqlite+aiosqlite:///{database}"}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, timeout=_HANG_SECONDS
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
