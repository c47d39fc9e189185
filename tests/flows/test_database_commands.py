"""`aura db` and `aura accounts` on a real database."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from aura.errors import InvalidRequestError, NotFoundError
from bentos.accounts.signing_keys import SigningKeys
from flows.cli.app import app
from stores.address import without_password


def run(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, [*arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result.output


def test_the_schema_is_brought_up_to_date_and_told(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_DATABASE_URL", empty_database)
    before = json.loads(run("db", "status", "--json", code=1))
    assert before["current"] is None
    assert len(before["pending"]) >= 2
    assert "ahead: 0001" in run("db", "status", code=1)
    assert run("db", "upgrade").endswith(f"the schema is at {before['newest']}\n")
    assert json.loads(run("db", "status", "--json")) == {
        "current": before["newest"],
        "newest": before["newest"],
        "pending": [],
    }


def test_a_role_is_given_to_an_account(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_DATABASE_URL", database_url)
    with psycopg.connect(database_url) as connection:
        connection.execute("INSERT INTO users (email, password_hash) VALUES ('ada@example.org', 'hash')")
    assert "ada@example.org is admin" in run("accounts", "role", "Ada@example.org", "admin")
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT role FROM users").fetchone() == ("admin",)
    with pytest.raises(NotFoundError, match=r"there is no account of eve@example\.org"):
        run("accounts", "role", "eve@example.org", "admin")
    with pytest.raises(InvalidRequestError, match="no role 'root'"):
        run("accounts", "role", "ada@example.org", "root")


def test_keys_of_tokens_are_rotated(own_home: Path) -> None:
    before = SigningKeys(own_home / "secrets" / "token-keys").newest[0]
    told = run("accounts", "rotate-keys")
    keys = SigningKeys(own_home / "secrets" / "token-keys")
    assert keys.newest[0] in told
    assert [*keys.live] == [before, keys.newest[0]]


def test_a_password_is_not_seen_in_the_list_of_processes() -> None:
    address, environment = without_password("postgresql://ada:p%40ss@db.example:5433/aura?sslmode=require")
    assert address == "postgresql://ada@db.example:5433/aura?sslmode=require"
    assert environment == {"PGPASSWORD": "p@ss"}
    assert without_password("postgresql:///aura?host=/tmp/x") == ("postgresql:///aura?host=/tmp/x", {})
