"""Our schema as earlier code left it, with a row in every table."""

from __future__ import annotations

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from stores import schema

STEPS = [step.revision for step in ScriptDirectory(str(schema._FOLDER)).walk_revisions()][::-1]
DATA = {
    "0001": """
        INSERT INTO users (id, email, password_hash) VALUES ('00000000-0000-0000-0000-000000000001', 'ada@example.org', 'x');
        INSERT INTO sessions (id, user_id, network, expires_at)
            VALUES ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', '10.0.0.0/24', now());
        INSERT INTO refresh_tokens (token_hash, session_id)
            VALUES (sha256('a'), '00000000-0000-0000-0000-000000000002');
    """,
    "0002": """
        INSERT INTO garments (user_id, category, title) VALUES ('00000000-0000-0000-0000-000000000001', 'tops', 'Shirt');
        INSERT INTO conversations (id, user_id)
            VALUES ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000001');
        INSERT INTO messages (conversation_id, position, role, content, key_id)
            VALUES ('00000000-0000-0000-0000-000000000003', 0, 'user', 'x', 'key');
        INSERT INTO feedback (user_id, kind, body, key_id)
            VALUES ('00000000-0000-0000-0000-000000000001', 'answer', 'x', 'key');
    """,
    "0003": """
        INSERT INTO predictions VALUES (now(), 'visual_analysis', 'analyze', '1', '{}', 0.1, '{}');
    """,
}
"""What each step of the schema has room for: a step without an entry here has no test."""


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    return {row[0] for row in rows}


def upgrade_to(url: str, revision: str) -> None:
    """Bring a database to an earlier revision, as the code of that time did."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.connect() as connection:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(schema._FOLDER))
        command.upgrade(config, revision)
        connection.commit()
    engine.dispose()


def fill(url: str, revision: str) -> None:
    """Put a row into every table that the schema has at a revision."""
    with psycopg.connect(url) as connection:
        for step in STEPS[: STEPS.index(revision) + 1]:
            connection.execute(DATA[step])


Rows = dict[str, list[dict[str, object]]]


def rows(url: str) -> Rows:
    """Every row of every table, as JSON; what a later step adds to a row is not among it."""
    with psycopg.connect(url) as connection:
        return {
            table: [row[0] for row in connection.execute(f"SELECT to_jsonb({table}) FROM {table}").fetchall()]
            for table in sorted(tables(url) - {"alembic_version"})
        }


def require_kept(before: Rows, after: Rows) -> None:
    """Make sure that nothing of what `rows` read is lost; later steps may have added to it."""
    for table, kept in before.items():
        for old, new in zip(kept, after[table], strict=True):
            assert old == {name: new.get(name) for name in old}
