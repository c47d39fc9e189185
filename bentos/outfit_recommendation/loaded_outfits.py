"""What a release gives the runner: the model, the catalog as it sees it, and what is known of garments besides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from aura.pictures import upright_rgb
from bentos.outfit_recommendation.messages import Ratings, Reason
from bentos.serving.following import Loaded
from inference.colours import DominantColour, colour_in_words
from inference.garment_colours import measured_colours
from inference.outfits import reasons as reasons_module
from inference.outfits.items import Item
from inference.outfits.preferences import Preferences
from inference.outfits.reasons import Seen, reasons_within

if TYPE_CHECKING:  # the service never needs torch
    from inference.outfits.catalog_search import CatalogSearch
    from inference.outfits.model import OutfitModel


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedOutfits(Loaded):
    """What outfits are judged and completed with.

    Attributes:
        model_hash: content hash of the model's artifact.
        search: the catalog of the index, as the model sees it; None without an index.
    """

    model: OutfitModel
    model_hash: str
    search: CatalogSearch | None

    def seen(self, items: Sequence[Item]) -> list[Seen]:
        """The items with their colours: as the title says, else measured in the picture, else as the attributes say.

        A cut-out holds some of what is behind the garment, and nobody believes in "the white of Black jacket".
        """
        search = self.search
        titled = [colour_in_words(item.title) for item in items]
        of_catalog = [
            item
            for item, colour in zip(items, titled, strict=True)
            if colour is None and search is not None and search.item(item.item_id) is not None
        ]
        known = dict(
            zip([item.item_id for item in of_catalog], search.colours(of_catalog) if search else [], strict=True)
        )
        return [
            Seen(item, colour or known.get(item.item_id) or _own_colour(item))
            for item, colour in zip(items, titled, strict=True)
        ]

    def preferences(self, ratings: Ratings) -> Preferences:
        """What the caller likes; items that this catalog lacks are left out."""
        owned = {
            garment.wardrobe_id or "": Item(
                garment.wardrobe_id or "", garment.category, garment.title,
                {"colour": garment.colour} if garment.colour else {},
            )
            for garment in ratings.wardrobe
            if garment.category
        }  # fmt: skip
        outfits = {True: list[list[Seen]](), False: list[list[Seen]]()}
        for outfit in ratings.outfits:
            items = [owned.get(item_id) or (self.search and self.search.item(item_id)) for item_id in outfit.item_ids]
            outfits[outfit.saved].append(self.seen([item for item in items if item]))
        return Preferences.of(outfits[True], outfits[False], self.seen([*owned.values()]))

    def reasons_within(self, outfit: Sequence[Item]) -> list[reasons_module.Reason]:
        """What the garments of an outfit have to do with each other."""
        return reasons_within(self.seen(outfit), self.model.strongest_words)


def _own_colour(item: Item) -> DominantColour | None:
    if item.image is not None:
        return measured_colours(upright_rgb(item.image))[0]
    return colour_in_words(item.attributes.get("colour", ""))


def encoded(model: OutfitModel, outfits: Sequence[list[Item]]) -> list[list[Item]]:
    """The outfits, whose items are read by the encoders all at once."""
    items = iter(model.with_vectors([item for outfit in outfits for item in outfit]))
    return [list(islice(items, len(outfit))) for outfit in outfits]


def reason_messages(reasons: Sequence[reasons_module.Reason]) -> list[Reason]:
    return [Reason(kind=reason.kind, text=reason.text, relation=reason.relation) for reason in reasons]
