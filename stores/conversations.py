"""What people and the assistant have said to each other; texts are encrypted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, LiteralString
from uuid import UUID

from psycopg.rows import class_row, dict_row

from stores.database import Connection
from stores.encryption import TextCipher

Speaker = Literal["user", "assistant"]


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A conversation without its messages."""

    id: UUID
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class StoredMessage:
    """A message of a conversation."""

    position: int
    role: Speaker
    content: str
    created_at: datetime


class Conversations:
    """The conversations of one person, as a transaction sees them. Nobody else's can be reached through it."""

    def __init__(self, connection: Connection, user_id: UUID, cipher: TextCipher) -> None:
        self._connection, self._user_id, self._cipher = connection, user_id, cipher

    async def begin(self, at_most: int, conversation_id: UUID | None = None) -> Conversation | None:
        """A new conversation; None when there would be more than `at_most` then, or when there is one of this id.

        Args:
            conversation_id: made by the caller, who begins it together with its first messages; default: the database makes one.
        """
        await self._connection.execute("SELECT 1 FROM users WHERE id = %s FOR UPDATE", (self._user_id,))
        async with self._connection.cursor(row_factory=class_row(Conversation)) as cursor:
            await cursor.execute(
                "INSERT INTO conversations (id, user_id) SELECT coalesce(%s, gen_random_uuid()), %s WHERE "
                "(SELECT count(*) FROM conversations WHERE user_id = %s) < %s "
                "ON CONFLICT (id) DO NOTHING RETURNING id, created_at",
                (conversation_id, self._user_id, self._user_id, at_most),
            )
            return await cursor.fetchone()

    async def page(self, after: UUID | None, limit: int) -> Sequence[Conversation]:
        """Conversations, newest first, from behind one on."""
        behind = "AND (created_at, id) < (SELECT created_at, id FROM conversations WHERE user_id = %s AND id = %s)"
        values: list[object] = [self._user_id, *([self._user_id, after] if after else []), limit]
        async with self._connection.cursor(row_factory=class_row(Conversation)) as cursor:
            await cursor.execute(
                f"SELECT id, created_at FROM conversations WHERE user_id = %s {behind if after else ''} "
                "ORDER BY created_at DESC, id DESC LIMIT %s",
                values,
            )
            return await cursor.fetchall()

    async def add(self, conversation_id: UUID, messages: Sequence[tuple[Speaker, str]], at_most: int) -> int | None:
        """Append messages; returns the position of the first one.

        Returns:
            None when there is no such conversation of this person; -1 when it would have more than `at_most` messages.
        """
        cursor = await self._connection.execute(
            "SELECT 1 FROM conversations WHERE id = %s AND user_id = %s FOR UPDATE", (conversation_id, self._user_id)
        )
        if await cursor.fetchone() is None:
            return None
        cursor = await self._connection.execute(
            "SELECT coalesce(max(position) + 1, 0) FROM messages WHERE conversation_id = %s", (conversation_id,)
        )
        [first] = await cursor.fetchone() or (0,)
        if first + len(messages) > at_most:
            return -1
        async with self._connection.cursor() as inserting:
            await inserting.executemany(
                "INSERT INTO messages (conversation_id, position, role, content, key_id) VALUES (%s, %s, %s, %s, %s)",
                [
                    (conversation_id, first + number, role, *self._cipher.encrypted(text))
                    for number, (role, text) in enumerate(messages)
                ],
            )
        return int(first)

    async def messages(
        self, conversation_id: UUID, first: int = 0, limit: int = 1000
    ) -> Sequence[StoredMessage] | None:
        """Messages in their order, from a position on; None when there is no such conversation of this person."""
        return await self._read(conversation_id, "AND position >= %s ORDER BY position LIMIT %s", (first, limit))

    async def latest(self, conversation_id: UUID, limit: int) -> Sequence[StoredMessage] | None:
        """The last messages in their order; None when there is no such conversation of this person."""
        found = await self._read(conversation_id, "ORDER BY position DESC LIMIT %s", (limit,))
        return None if found is None else [*reversed(found)]

    async def remove(self, conversation_id: UUID) -> bool:
        """Remove a conversation with its messages; False when there is no such conversation of this person."""
        cursor = await self._connection.execute(
            "DELETE FROM conversations WHERE id = %s AND user_id = %s", (conversation_id, self._user_id)
        )
        return cursor.rowcount > 0

    async def _read(
        self, conversation_id: UUID, which: LiteralString, values: Sequence[int]
    ) -> Sequence[StoredMessage] | None:
        cursor = await self._connection.execute(
            "SELECT 1 FROM conversations WHERE id = %s AND user_id = %s", (conversation_id, self._user_id)
        )
        if await cursor.fetchone() is None:
            return None
        async with self._connection.cursor(row_factory=dict_row) as reading:
            await reading.execute(
                f"SELECT position, role, content, key_id, created_at FROM messages WHERE conversation_id = %s {which}",
                (conversation_id, *values),
            )
            return [self._message(row) for row in await reading.fetchall()]

    def _message(self, row: dict[str, Any]) -> StoredMessage:
        return StoredMessage(
            position=row["position"], role=row["role"], created_at=row["created_at"],
            content=self._cipher.decrypted(row["content"], row["key_id"]),
        )  # fmt: skip
