"""Garments of the caller's wardrobe, as the outfit service reads them. It writes nothing there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from aura.errors import InvalidRequestError
from bentos.accounts.pictures import Pictures, pictures_folder
from bentos.outfit_recommendation.messages import Garment
from bentos.serving.optional_database import OptionalDatabase
from bentos.serving.tokens import Caller
from stores.database import Connection
from stores.wardrobe import OwnedGarment, Wardrobe

READ_GARMENTS = 60
"""Garments of a wardrobe that an outfit is put together from, the newest: each one's picture is read by the model."""


class OwnGarments:
    """Reads wardrobes; without a database it says so."""

    def __init__(self, database: OptionalDatabase, pictures: Pictures | None = None) -> None:
        self._database, self._pictures = database, pictures or Pictures(pictures_folder())

    async def garments(self, caller: Caller, ids: Sequence[UUID]) -> Mapping[UUID, Garment]:
        """Garments of the caller by id.

        Raises:
            InvalidRequestError: the caller has no such garment.
            NoDatabaseError: this service has no database.
            DatabaseUnavailableError: the database is away.
        """

        async def read(connection: Connection) -> list[OwnedGarment | None]:
            wardrobe = Wardrobe(connection, caller.user_id)
            return [await wardrobe.get(garment_id) for garment_id in ids]

        found = dict(zip(ids, await self._database.run(read), strict=True))
        if missing := [str(garment_id) for garment_id, garment in found.items() if garment is None]:
            raise InvalidRequestError(
                f"your wardrobe has no garment {', '.join(missing)}", hint="GET accounts/wardrobe lists them"
            )
        return {garment_id: self._garment(caller, garment) for garment_id, garment in found.items() if garment}

    async def newest(self, caller: Caller) -> tuple[list[Garment], bool]:
        """The newest garments of the caller, and whether there are more.

        Raises:
            NoDatabaseError: this service has no database.
            DatabaseUnavailableError: the database is away.
        """
        found = await self._database.run(
            lambda connection: Wardrobe(connection, caller.user_id).page(None, READ_GARMENTS + 1)
        )
        return [self._garment(caller, garment) for garment in found[:READ_GARMENTS]], len(found) > READ_GARMENTS

    async def problems(self) -> list[str]:
        """Why wardrobes cannot be read, in words for callers; nothing where there is no database to read."""
        return await self._database.problems("garments of wardrobes are not known")

    def _garment(self, caller: Caller, owned: OwnedGarment) -> Garment:
        file = self._pictures.path(caller.user_id, owned.picture_hash) if owned.picture_hash else None
        return Garment(
            wardrobe_id=str(owned.id), category=owned.category, title=owned.title, colour=owned.colour,
            picture_file=str(file) if file else None,
        )  # fmt: skip
