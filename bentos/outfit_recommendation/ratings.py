"""What a caller has said of outfits, and owns, for a ranking of their own: read where they allow it, at the moment of asking."""

from __future__ import annotations

from aura.errors import AuraError
from bentos.outfit_recommendation.messages import Garment, RatedOutfit, Ratings
from bentos.outfit_recommendation.own_garments import READ_GARMENTS
from bentos.serving.optional_database import OptionalDatabase
from bentos.serving.request_log import logger
from bentos.serving.tokens import Caller
from stores.database import Connection
from stores.encryption import TextCipher, keys_folder
from stores.feedback import FeedbackOf
from stores.users import Users
from stores.wardrobe import Wardrobe

READ_RATINGS = 200
"""Outfits that were saved or rejected, the newest."""
_UNREAD = "your saved and rejected outfits could not be read: this is nobody's own ranking"


class OwnRatings:
    """Reads ratings; where it cannot, the ranking is everybody's."""

    def __init__(self, database: OptionalDatabase) -> None:
        self._database = database
        self._cipher = TextCipher(keys_folder()) if database.is_there else None

    async def of(self, caller: Caller | None) -> tuple[Ratings | None, list[str]]:
        """The ratings and the wardrobe of a caller who has rated an outfit and allows it, and what could not be read."""
        if caller is None or self._cipher is None:
            return None, []
        try:
            return await self._database.run(lambda connection: self._read(connection, caller)), []
        except AuraError as error:
            logger.warning("no ratings are read: %r", error)
            return None, [_UNREAD]

    async def _read(self, connection: Connection, caller: Caller) -> Ratings | None:
        assert self._cipher is not None, "of() asks"
        user = await Users(connection).by_id(caller.user_id)
        if user is None or not user.may_learn:
            return None
        said = await FeedbackOf(connection, caller.user_id, self._cipher).page(None, READ_RATINGS, "outfit")
        if not said:
            return None
        owned = await Wardrobe(connection, caller.user_id).page(None, READ_GARMENTS)
        return Ratings(
            outfits=[
                RatedOutfit(saved=one.body["verdict"] == "saved", item_ids=[*one.body["item_ids"]]) for one in said
            ],
            wardrobe=[
                Garment(wardrobe_id=str(one.id), category=one.category, title=one.title, colour=one.colour)
                for one in owned
            ],
        )
