"""What people say of answers, in an outbox that the night empties: several readers side by side, each row to one of them.

Only the rows of people who allow it are taken (`users.may_learn`), asked at the moment of taking: nothing is learnt from whom
withdraws. What was said may quote a conversation, so it is encrypted as that is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from stores.database import Connection
from stores.encryption import TextCipher

FeedbackKind = Literal["answer", "detection", "outfit"]
_COLUMNS = "id, kind, body, key_id, created_at, taken_at"


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """What somebody said of an answer.

    Attributes:
        body: as the service has checked it; see `bentos/accounts/belongings_schemas.py`.
        taken_at: when a night took it; None: it waits.
    """

    id: int
    kind: FeedbackKind
    body: dict[str, Any]
    created_at: datetime
    taken_at: datetime | None


class FeedbackOf:
    """The feedback of one person, as a transaction sees it."""

    def __init__(self, connection: Connection, user_id: UUID, cipher: TextCipher) -> None:
        self._connection, self._user_id, self._cipher = connection, user_id, cipher

    async def add(self, kind: FeedbackKind, body: dict[str, Any], per_day: int) -> int | None:
        """Keep what was said; returns its number, or None when the person has said as much as a day may hold."""
        await self._connection.execute("SELECT 1 FROM users WHERE id = %s FOR UPDATE", (self._user_id,))
        cursor = await self._connection.execute(
            """
            INSERT INTO feedback (user_id, kind, body, key_id) SELECT %s, %s, %s, %s WHERE
            (SELECT count(*) FROM feedback WHERE user_id = %s AND created_at > now() - interval '1 day') < %s RETURNING id
            """,
            (self._user_id, kind, *self._cipher.encrypted(json.dumps(body)), self._user_id, per_day),
        )
        row = await cursor.fetchone()
        return int(row[0]) if row else None

    async def page(self, before: int | None, limit: int, kind: FeedbackKind | None = None) -> Sequence[Feedback]:
        """Feedback, of one kind or of all, newest first, from below a number on."""
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(
                f"SELECT {_COLUMNS} FROM feedback WHERE user_id = %s "
                "AND (%s::bigint IS NULL OR id < %s) AND (%s::text IS NULL OR kind = %s) ORDER BY id DESC LIMIT %s",
                (self._user_id, before, before, kind, kind, limit),
            )
            return [_feedback(row, self._cipher) for row in await cursor.fetchall()]

    async def remove(self, feedback_id: int) -> bool:
        """Take back what was said; False when this person has said nothing of this number."""
        cursor = await self._connection.execute(
            "DELETE FROM feedback WHERE user_id = %s AND id = %s", (self._user_id, feedback_id)
        )
        return cursor.rowcount > 0

    async def withdraw(self) -> None:
        """Let what nights have taken wait again: the next night drops it, as its lines name another moment."""
        # Rows that wait are touched too: one that a night is just taking is waited for, and not overlooked.
        await self._connection.execute("UPDATE feedback SET taken_at = NULL WHERE user_id = %s", (self._user_id,))


async def taken_times(connection: Connection, ids: Sequence[int]) -> Mapping[int, datetime]:
    """When each of these was taken; what waits, or is gone, is left out."""
    cursor = await connection.execute(
        "SELECT id, taken_at FROM feedback WHERE id = ANY (%s) AND taken_at IS NOT NULL", ([*ids],)
    )
    return dict(await cursor.fetchall())


async def allowed_by(connection: Connection, ids: Sequence[int]) -> Mapping[int, tuple[UUID, datetime]]:
    """Who has said each of these, and when it was taken, of people who allow it now; the rest is left out."""
    cursor = await connection.execute(
        "SELECT f.id, f.user_id, f.taken_at FROM feedback f JOIN users u ON u.id = f.user_id "
        "WHERE f.id = ANY (%s) AND f.taken_at IS NOT NULL AND u.may_learn",
        ([*ids],),
    )
    return {number: (user_id, taken_at) for number, user_id, taken_at in await cursor.fetchall()}


async def take(connection: Connection, cipher: TextCipher, limit: int) -> Sequence[Feedback]:
    """Feedback that nobody has taken yet, oldest first. It is taken when the transaction is committed, else it waits on."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(
            """
            WITH chosen AS (
                SELECT f.id AS chosen_id FROM feedback f JOIN users u ON u.id = f.user_id
                WHERE f.taken_at IS NULL AND u.may_learn ORDER BY f.id LIMIT %s FOR UPDATE OF f SKIP LOCKED
            )
            UPDATE feedback SET taken_at = clock_timestamp() FROM chosen WHERE id = chosen_id
            """
            f"RETURNING {_COLUMNS}",
            (limit,),
        )
        return sorted((_feedback(row, cipher) for row in await cursor.fetchall()), key=lambda feedback: feedback.id)


def _feedback(row: dict[str, Any], cipher: TextCipher) -> Feedback:
    body = json.loads(cipher.decrypted(row.pop("body"), row.pop("key_id")))
    return Feedback(body=body, **row)


def wait_again(url: str) -> None:
    """Let all feedback wait for the next night, as after a restore: what nights have written down is in no backup."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE feedback SET taken_at = NULL WHERE taken_at IS NOT NULL")
