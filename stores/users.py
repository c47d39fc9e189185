"""People: who they are and how they prove it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from aura.roles import Role
from stores.database import Connection

_COLUMNS = "id, email, password_hash, role, created_at, password_changed_at, may_learn, consents_changed_at"


@dataclass(frozen=True, kw_only=True)
class User:
    """A person with an account.

    Attributes:
        email: in one spelling per mailbox.
        password_hash: of bcrypt.
        may_learn: whether nights may learn from their feedback.
        consents_changed_at: when they last said so; None: never.
    """

    id: UUID
    email: str
    password_hash: str
    role: Role
    created_at: datetime
    password_changed_at: datetime
    may_learn: bool
    consents_changed_at: datetime | None


class Users:
    """The users that a transaction sees."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, email: str, password_hash: str) -> User | None:
        """A new user, or None when the address is taken."""
        return await self._one(
            f"INSERT INTO users (email, password_hash) VALUES (%s, %s) ON CONFLICT DO NOTHING RETURNING {_COLUMNS}",
            (email, password_hash),
        )

    async def by_email(self, email: str) -> User | None:
        return await self._one(f"SELECT {_COLUMNS} FROM users WHERE email = %s", (email,))

    async def by_id(self, user_id: UUID) -> User | None:
        return await self._one(f"SELECT {_COLUMNS} FROM users WHERE id = %s", (user_id,))

    async def page(self, after_email: str, limit: int) -> Sequence[User]:
        """Users in the order of their addresses, from behind one on."""
        async with self._connection.cursor(row_factory=class_row(User)) as cursor:
            await cursor.execute(
                f"SELECT {_COLUMNS} FROM users WHERE email > %s ORDER BY email LIMIT %s", (after_email, limit)
            )
            return await cursor.fetchall()

    async def set_password(self, user_id: UUID, password_hash: str) -> None:
        await self._connection.execute(
            "UPDATE users SET password_hash = %s, password_changed_at = now() WHERE id = %s", (password_hash, user_id)
        )

    async def rehash(self, user_id: UUID, old_hash: str, new_hash: str) -> None:
        """Replace the hash of the same password, unless it has been changed meanwhile."""
        await self._connection.execute(
            "UPDATE users SET password_hash = %s WHERE id = %s AND password_hash = %s", (new_hash, user_id, old_hash)
        )

    async def set_consent(self, user_id: UUID, may_learn: bool) -> User | None:
        """The user with what they allow, or None when there is no such user."""
        return await self._one(
            f"UPDATE users SET may_learn = %s, consents_changed_at = now() WHERE id = %s RETURNING {_COLUMNS}",
            (may_learn, user_id),
        )

    async def missing(self, user_ids: Sequence[UUID]) -> Sequence[UUID]:
        """Those of the ids that are no user's."""
        cursor = await self._connection.execute(
            "SELECT asked FROM unnest(%s::uuid[]) AS asked WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = asked)",
            ([*user_ids],),
        )
        return [row[0] for row in await cursor.fetchall()]

    async def set_role(self, email: str, role: Role) -> User | None:
        """The user with a new role, or None when there is no such user."""
        return await self._one(f"UPDATE users SET role = %s WHERE email = %s RETURNING {_COLUMNS}", (role, email))

    async def remove(self, user_id: UUID) -> bool:
        """Remove a user with everything that is theirs in the database; False when there is no such user."""
        return (await self._connection.execute("DELETE FROM users WHERE id = %s", (user_id,))).rowcount > 0

    async def _one(self, statement: str, values: Sequence[object]) -> User | None:
        async with self._connection.cursor(row_factory=class_row(User)) as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchone()
