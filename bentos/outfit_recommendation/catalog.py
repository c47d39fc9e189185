"""What an `item_id` means: an item of the catalog that serves here, or of another one that some service may still answer from."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aura.errors import IndexNotReadyError, InvalidRequestError
from bentos.serving.assets import Assets
from inference.outfits.items import Item, item_of

if TYPE_CHECKING:  # the service never needs torch
    from inference.outfits.catalog_search import CatalogSearch
    from inference.retrieval.released_catalog import ReleasedCatalog

NO_CATALOG = "nothing is recommended, and no item_id is known: there is no index yet"


class KnownItems:
    """Items of all releases of the index that are kept, the one that serves here first.

    Services do not switch in the same instant, and callers come back with ids that they got a while ago: of the release that is
    served next, or that was served before.
    """

    def __init__(self, assets: Assets) -> None:
        self._assets = assets
        self._reading = threading.Lock()
        self._kept: Sequence[ReleasedCatalog] = ()

    def item(self, search: CatalogSearch | None, item_id: str) -> Item:
        """An item of the catalog that is searched, or of another release.

        Raises:
            InvalidRequestError: none has it.
            IndexNotReadyError: there is no catalog yet.
        """
        if search is None:
            raise IndexNotReadyError("no index is served yet")
        if (item := search.item(item_id)) is not None:
            return item
        found = self._with(item_id, search.catalog)
        row = found.row(item_id) if found else None
        if found is None or row is None:
            raise InvalidRequestError(
                f"the catalog has no item {item_id!r}",
                hint="send the garment itself: category with a title, an image_base64 or both",
            )
        [picture] = found.pictures([row])
        return item_of(row, picture)

    def _with(self, item_id: str, searched: ReleasedCatalog) -> ReleasedCatalog | None:
        with self._reading:
            self._kept = self._assets.catalogs([searched, *self._kept])
            return next((catalog for catalog in self._kept if catalog.row(item_id)), None)
