"""MLflow on a real PostgreSQL and Prefect's server, with the commands and settings of the compose file."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import psycopg
import pytest

from aura.paths import repo_root
from flows.processes import free_port, stop, wait_until_healthy
from stores.local_server import LocalServer
from stores.postgres_programs import program
from tests.deploy.compose import composed

START_SECONDS = 240.0
INIT = repo_root() / "deploy" / "compose" / "init.sql"
MINE = ("MLFLOW_", "PREFECT_SERVER_", "PREFECT_HOME")


def _psql(server: LocalServer) -> None:
    """Run init.sql, as PostgreSQL's image does and people do by hand."""
    done = subprocess.run(
        [program("psql"), "--quiet", "--set=ON_ERROR_STOP=1", f"--dbname={server.url('postgres')}", "--file", INIT],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def databases(postgres_server: LocalServer) -> str:
    """What stands in for `aura_user@postgres:5432/DATABASE` here, with `DATABASE` in it."""
    _psql(postgres_server)
    _psql(postgres_server)  # where they are there, nothing happens
    with psycopg.connect(postgres_server.url("postgres")) as connection:
        found = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
        user = connection.info.user
    assert {"mlflow", "prefect"} <= found
    return f"/DATABASE?{urlencode({'host': postgres_server.sockets, 'user': user})}"


@contextmanager
def _running(name: str, databases: str, folder: Path, health: str) -> Iterator[str]:
    """A service of the compose file as a process here; gives its address."""
    service, port = composed()["services"][name], free_port()
    command = service["command"]
    words = shlex.split(command) if isinstance(command, str) else list(command)
    words[words.index("--port") + 1], words[words.index("--host") + 1] = str(port), "127.0.0.1"

    def here(value: str) -> str:
        for database in ("mlflow", "prefect"):
            value = value.replace(f"aura_user@postgres:5432/{database}", databases.replace("DATABASE", database))
        return value.replace("/var/lib/mlflow", str(folder)).replace("/var/lib/aura/prefect", str(folder))

    settings = {key: here(value) for key, value in service["environment"].items() if key.startswith(MINE)}
    settings["PREFECT_SERVER_UI_STATIC_DIRECTORY"] = str(folder / "page")
    # Prefect's schema asks for the extension pg_trgm, which the server of the wheel does not have.
    settings.pop("PREFECT_SERVER_DATABASE_CONNECTION_URL", None)
    log = folder / "log"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [sys.executable, "-m", *map(here, words)],
            env=os.environ | settings, stdout=stream, stderr=stream, cwd=repo_root(), start_new_session=True,
        )  # fmt: skip
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}{health}", server, log, START_SECONDS)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop(server)


@pytest.mark.slow
def test_mlflow_answers_under_its_name_in_the_network_and_no_other(databases: str, tmp_path: Path) -> None:
    with _running("mlflow", databases, tmp_path, "/health") as url:
        answers = {}
        for host in ("mlflow:5000", "localhost", "mlflow.example:5000"):
            made = httpx.post(
                f"{url}/api/2.0/mlflow/experiments/create", json={"name": f"of {host}"}, headers={"host": host},
                trust_env=False, timeout=60,
            )  # fmt: skip
            answers[host] = made.status_code
        assert answers == {"mlflow:5000": 200, "localhost": 200, "mlflow.example:5000": 403}


@pytest.mark.slow
def test_prefects_page_is_at_the_gateways_path(databases: str, tmp_path: Path) -> None:
    with _running("prefect_server", databases, tmp_path, "/api/health") as url:
        page = httpx.get(f"{url}/prefect/", trust_env=False, timeout=60, follow_redirects=True)
        assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (200, "text/html")
        assert (tmp_path / "page").is_dir(), "its package, where it writes by default, is read-only in a container"
