"""People for tests of services that know their callers, but not the accounts service."""

from __future__ import annotations

import uuid

import psycopg

from bentos.serving.tokens import Caller


def person(url: str, email: str) -> Caller:
    """Somebody who has registered, and whose password nobody knows."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(
            "INSERT INTO users (email, password_hash) VALUES (%s, 'x') RETURNING id", (email,)
        ).fetchone()
    assert row is not None
    return Caller(user_id=row[0], session_id=uuid.uuid4(), role="user")
