"""Texts of older keys are brought to the newest one, some at a time, while services run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import sql

from stores.database import Connection, Database
from stores.encryption import TextCipher

_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class _Texts:
    """A table with encrypted texts, and the columns that name a row of it."""

    table: str
    column: str
    key: Sequence[str]


_ENCRYPTED = (
    _Texts(table="messages", column="content", key=("conversation_id", "position")),
    _Texts(table="feedback", column="body", key=("id",)),
)


async def reencrypt(database: Database, cipher: TextCipher) -> int:
    """Encrypt every text with the newest key; returns how many were encrypted with another one."""
    done = 0
    for texts in _ENCRYPTED:
        while count := await database.run(lambda connection, texts=texts: _some(connection, cipher, texts)):  # type: ignore[misc]
            done += count
    return done


async def _some(connection: Connection, cipher: TextCipher, texts: _Texts) -> int:
    table, column = sql.Identifier(texts.table), sql.Identifier(texts.column)
    key = sql.SQL(", ").join(map(sql.Identifier, texts.key))
    is_row = sql.SQL(" AND ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in texts.key)
    # A row that somebody is changing is waited for: skipped, it would keep its old key.
    cursor = await connection.execute(
        sql.SQL("SELECT {}, key_id, {} FROM {} WHERE key_id <> %s LIMIT %s FOR UPDATE").format(column, key, table),
        (cipher.newest, _BATCH),
    )
    rows = await cursor.fetchall()
    await cursor.executemany(
        sql.SQL("UPDATE {} SET {} = %s, key_id = %s WHERE {}").format(table, column, is_row),
        [(*cipher.encrypted(cipher.decrypted(content, key_id)), *row_key) for content, key_id, *row_key in rows],
    )
    return len(rows)
