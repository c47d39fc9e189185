"""The garments that people own."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from psycopg.rows import class_row

from aura.taxonomy import Category
from stores.database import Connection

_COLUMNS = "id, category, title, colour, picture_hash, created_at"


@dataclass(frozen=True, kw_only=True)
class NewGarment:
    """A garment to be kept.

    Attributes:
        picture_hash: SHA-256 of the picture's file.
    """

    category: Category
    title: str
    colour: str | None = None
    picture_hash: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class OwnedGarment(NewGarment):
    """A garment in a wardrobe."""

    id: UUID
    created_at: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "category", Category(self.category))


class Wardrobe:
    """The garments of one person, as a transaction sees them. Nobody else's can be reached through it."""

    def __init__(self, connection: Connection, user_id: UUID) -> None:
        self._connection, self._user_id = connection, user_id

    async def add(self, garments: Sequence[NewGarment], at_most: int) -> Sequence[OwnedGarment] | None:
        """Keep garments; None when there would be more than `at_most` then."""
        # The owner's row is locked, so that of two calls at once the second counts what the first has added.
        await self._connection.execute("SELECT 1 FROM users WHERE id = %s FOR UPDATE", (self._user_id,))
        cursor = await self._connection.execute("SELECT count(*) FROM garments WHERE user_id = %s", (self._user_id,))
        [count] = await cursor.fetchone() or (0,)
        if count + len(garments) > at_most:
            return None
        return [
            await self._one_needed(
                f"INSERT INTO garments (user_id, category, title, colour, picture_hash) VALUES (%s, %s, %s, %s, %s) "
                f"RETURNING {_COLUMNS}",
                (self._user_id, garment.category.value, garment.title, garment.colour, garment.picture_hash),
            )
            for garment in garments
        ]

    async def page(self, after: UUID | None, limit: int) -> Sequence[OwnedGarment]:
        """Garments, newest first, from behind one on."""
        behind = "AND (created_at, id) < (SELECT created_at, id FROM garments WHERE user_id = %s AND id = %s)"
        values: list[object] = [self._user_id, *([self._user_id, after] if after else []), limit]
        async with self._connection.cursor(row_factory=class_row(OwnedGarment)) as cursor:
            await cursor.execute(
                f"SELECT {_COLUMNS} FROM garments WHERE user_id = %s {behind if after else ''} "
                "ORDER BY created_at DESC, id DESC LIMIT %s",
                values,
            )
            return await cursor.fetchall()

    async def get(self, garment_id: UUID) -> OwnedGarment | None:
        return await self._one(
            f"SELECT {_COLUMNS} FROM garments WHERE user_id = %s AND id = %s", (self._user_id, garment_id)
        )

    async def some(self, ids: Collection[UUID]) -> Mapping[UUID, OwnedGarment]:
        """Those of these garments that are this person's, by id."""
        async with self._connection.cursor(row_factory=class_row(OwnedGarment)) as cursor:
            await cursor.execute(
                f"SELECT {_COLUMNS} FROM garments WHERE user_id = %s AND id = ANY (%s)", (self._user_id, [*ids])
            )
            return {garment.id: garment for garment in await cursor.fetchall()}

    async def change(self, garment_id: UUID, category: Category, title: str, colour: str | None) -> OwnedGarment | None:
        """The garment with other words; None when there is none."""
        return await self._one(
            f"UPDATE garments SET category = %s, title = %s, colour = %s WHERE user_id = %s AND id = %s RETURNING {_COLUMNS}",
            (category.value, title, colour, self._user_id, garment_id),
        )

    async def remove(self, garment_id: UUID) -> OwnedGarment | None:
        """Remove a garment; returns it, or None when there was none."""
        return await self._one(
            f"DELETE FROM garments WHERE user_id = %s AND id = %s RETURNING {_COLUMNS}", (self._user_id, garment_id)
        )

    async def shows(self, picture_hash: bytes) -> bool:
        """Whether a garment has this picture."""
        cursor = await self._connection.execute(
            "SELECT 1 FROM garments WHERE user_id = %s AND picture_hash = %s LIMIT 1", (self._user_id, picture_hash)
        )
        return await cursor.fetchone() is not None

    async def _one_needed(self, statement: str, values: Sequence[object]) -> OwnedGarment:
        found = await self._one(statement, values)
        assert found is not None, "INSERT ... RETURNING gives the row"
        return found

    async def _one(self, statement: str, values: Sequence[object]) -> OwnedGarment | None:
        async with self._connection.cursor(row_factory=class_row(OwnedGarment)) as cursor:
            await cursor.execute(statement, values)
            return await cursor.fetchone()
