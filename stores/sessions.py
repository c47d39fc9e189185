"""Sessions: from a sign-in to a sign-out, kept alive by refresh tokens that are each used once.

The tokens of a session are a family (RFC 9700, section 4.14.2): a token that comes a second time has been copied, and ends the
session for both who hold it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Literal
from uuid import UUID

from psycopg.rows import class_row, dict_row

from stores.database import Connection

Network = IPv4Network | IPv6Network
EndReason = Literal["signed_out", "password_changed", "token_reused"]


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session, as its owner may see it."""

    id: UUID
    network: Network
    began_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    end_reason: EndReason | None


class Refused(StrEnum):
    """Why a refresh token is worth nothing."""

    UNKNOWN = "unknown"
    OVER = "its session is over"
    REUSED = "it was used before: its session is over now"


@dataclass(frozen=True, kw_only=True)
class Rotated:
    """A token was exchanged for the next one of this session."""

    session_id: UUID
    user_id: UUID


class Sessions:
    """The sessions that a transaction sees."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def begin(self, user_id: UUID, token_hash: bytes, network: Network, lasts: timedelta) -> UUID:
        """A new session with its first token; those of the user that have expired are forgotten."""
        await self._connection.execute("DELETE FROM sessions WHERE user_id = %s AND expires_at < now()", (user_id,))
        cursor = await self._connection.execute(
            "INSERT INTO sessions (user_id, network, expires_at) VALUES (%s, %s, now() + %s) RETURNING id",
            (user_id, network, lasts),
        )
        [session_id] = await cursor.fetchone() or ()
        await self._add_token(session_id, token_hash)
        return UUID(str(session_id))

    async def rotate(self, token_hash: bytes, next_hash: bytes) -> Rotated | Refused:
        """Use a token up; the next one takes its place.

        A refusal changes the database too: commit it.
        """
        async with self._connection.cursor(row_factory=dict_row) as cursor:
            # Both rows are locked: of two calls with one token the second sees what the first has done.
            await cursor.execute(
                """
                SELECT s.id, s.user_id, t.used_at IS NOT NULL AS used, s.ended_at IS NOT NULL OR s.expires_at < now() AS over
                FROM refresh_tokens t JOIN sessions s ON s.id = t.session_id
                WHERE t.token_hash = %s FOR UPDATE OF t, s
                """,
                (token_hash,),
            )
            found: dict[str, Any] | None = await cursor.fetchone()
        if found is None:
            return Refused.UNKNOWN
        if found["over"]:
            return Refused.OVER
        if found["used"]:
            await self.end(found["id"], "token_reused")
            return Refused.REUSED
        await self._connection.execute("UPDATE refresh_tokens SET used_at = now() WHERE token_hash = %s", (token_hash,))
        await self._add_token(found["id"], next_hash)
        return Rotated(session_id=found["id"], user_id=found["user_id"])

    async def is_active(self, session_id: UUID, user_id: UUID) -> bool:
        """Whether the session of this user goes on."""
        cursor = await self._connection.execute(
            "SELECT 1 FROM sessions WHERE id = %s AND user_id = %s AND ended_at IS NULL AND expires_at > now()",
            (session_id, user_id),
        )
        return await cursor.fetchone() is not None

    async def knows(self, user_id: UUID, network: Network) -> bool:
        """Whether the user has signed in from there lately."""
        cursor = await self._connection.execute(
            "SELECT 1 FROM sessions WHERE user_id = %s AND network = %s AND expires_at > now() LIMIT 1",
            (user_id, network),
        )
        return await cursor.fetchone() is not None

    async def end(self, session_id: UUID, reason: EndReason) -> None:
        await self._connection.execute(
            "UPDATE sessions SET ended_at = now(), end_reason = %s WHERE id = %s AND ended_at IS NULL",
            (reason, session_id),
        )

    async def end_all(self, user_id: UUID, reason: EndReason, but: UUID | None = None) -> None:
        """End every session of a user, but for one."""
        await self._connection.execute(
            """
            UPDATE sessions SET ended_at = now(), end_reason = %s
            WHERE user_id = %s AND ended_at IS NULL AND id IS DISTINCT FROM %s
            """,
            (reason, user_id, but),
        )

    async def of(self, user_id: UUID) -> Sequence[Session]:
        """Sessions of a user, newest first."""
        async with self._connection.cursor(row_factory=class_row(Session)) as cursor:
            await cursor.execute(
                "SELECT id, network, began_at, expires_at, ended_at, end_reason FROM sessions WHERE user_id = %s "
                "ORDER BY began_at DESC, id",
                (user_id,),
            )
            return await cursor.fetchall()

    async def _add_token(self, session_id: UUID, token_hash: bytes) -> None:
        await self._connection.execute(
            "INSERT INTO refresh_tokens (token_hash, session_id) VALUES (%s, %s)", (token_hash, session_id)
        )
