"""A real PostgreSQL: one server per run of tests, one database per test."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import psycopg
import pytest

from stores import schema
from stores.local_server import LocalServer

_TEMPLATE = "template_aura"
_START_SECONDS = 120.0
_numbers = itertools.count()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalServer]:
    """The server, with a database whose schema is up to date, which the tests' databases are copied from."""
    folder = tmp_path_factory.mktemp("postgres")
    server = LocalServer(folder / "server")
    with server.running(_START_SECONDS, folder / "log"):
        _execute(server, f"CREATE DATABASE {_TEMPLATE}")
        schema.upgrade(server.url(_TEMPLATE))
        yield server


@pytest.fixture
def empty_database(postgres_server: LocalServer) -> Iterator[str]:
    """Address of a database without a schema."""
    yield from _database(postgres_server, "template1")


@pytest.fixture
def database_url(postgres_server: LocalServer) -> Iterator[str]:
    """Address of a database with the newest schema."""
    yield from _database(postgres_server, _TEMPLATE)


def _database(server: LocalServer, template: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield server.url(name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def _execute(server: LocalServer, statement: str) -> None:
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute(statement)
