"""The catalog of the served release: what is recommended, and what an `item_id` means."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aura.errors import IndexNotReadyError, InvalidRequestError
from bentos.serving.assets import Assets, ServedIndex
from bentos.serving.request_log import logger
from inference.outfits.items import Item, item_of

if TYPE_CHECKING:  # the service never needs torch
    from inference.outfits.catalog_search import CatalogSearch
    from inference.retrieval.released_catalog import ReleasedCatalog

_RETRY_SECONDS = 60.0
"""Pause after a release could not be embedded: each attempt may take minutes of a processor."""


@dataclass(frozen=True)
class KnownItems:
    """The items of the served release, and of the one that is still recommended from."""

    newest: ReleasedCatalog
    search: CatalogSearch

    def item(self, item_id: str) -> Item:
        """Raises InvalidRequestError: neither release has it."""
        row = self.newest.row(item_id)
        if row is not None and self.newest is not self.search.catalog:  # its vector is not made yet
            return item_of(row, *self.newest.pictures([row]))
        if (item := self.search.item(item_id)) is not None:
            return item
        raise InvalidRequestError(
            f"the catalog has no item {item_id!r}",
            hint="send the garment itself: category with a title, an image_base64 or both",
        )


class ServedCatalog:
    """Follows the index, as the services that search it do, so that all of them know the same items.

    Items of a release are known as soon as it is served. They are recommended when all of them are embedded, which happens in
    a thread of its own; until then recommendations come from the release before.
    """

    def __init__(self, assets: Assets, embed: Callable[[ReleasedCatalog, CatalogSearch | None], CatalogSearch]) -> None:
        """Args:
        embed: makes a catalog searchable; also gets the one that is searched now.
        """
        self._assets = assets
        self._embed = embed
        self._following = threading.Lock()
        self._index: ServedIndex | None = None
        self._newest: ReleasedCatalog | None = None
        self._search: CatalogSearch | None = None
        self._retry_at = math.inf
        try:
            self.known()
        except IndexNotReadyError as error:
            logger.warning("nothing is recommended until the index is there: %s", error.message)

    def __len__(self) -> int:
        """Items to choose from."""
        return 0 if self._search is None else len(self._search)

    @property
    def version(self) -> str:
        """Number of the release that is recommended from; empty while there is none."""
        return "" if self._search is None else str(self._search.version)

    @property
    def degraded(self) -> list[str]:
        """What is not answered from the release that is served, if so, in words for callers."""
        if self._index is None or self._newest is None or self._search is None:
            return ["nothing is recommended, and no item_id is known: there is no index yet"]
        if self._newest is not self._search.catalog:
            return [
                f"recommendations come from index release {self.version}; {self._newest.version} is not embedded yet"
            ]
        return self._index.degraded

    def known(self) -> KnownItems:
        """What is known and recommended from now; use one from the beginning of an answer to its end.

        Raises:
            IndexNotReadyError: nothing is served yet.
        """
        return KnownItems(*self._follow())

    def _follow(self) -> tuple[ReleasedCatalog, CatalogSearch]:
        with self._following:
            if self._index is None:
                self._index = self._assets.index()
            index = self._index.current()
            if self._newest is None or self._newest.release != index.release:
                newest = index.catalog()
                if self._search is None:
                    self._search = self._embed(newest, None)
                else:
                    self._start_switch(newest, self._search)
                self._newest = newest
            elif self._search is not None and time.monotonic() >= self._retry_at:
                self._start_switch(self._newest, self._search)
            assert self._search is not None, "the first catalog is embedded before it is kept"
            return self._newest, self._search

    def _start_switch(self, catalog: ReleasedCatalog, before: CatalogSearch) -> None:
        self._retry_at = math.inf  # set by a failure
        threading.Thread(target=self._switch, args=(catalog, before), daemon=True).start()

    def _switch(self, catalog: ReleasedCatalog, before: CatalogSearch) -> None:
        try:
            search = self._embed(catalog, before)
        except Exception:
            logger.exception("recommendations stay with release %d: %d failed", before.version, catalog.version)
            with self._following:
                if catalog is self._newest:
                    self._retry_at = time.monotonic() + _RETRY_SECONDS
            return
        with self._following:
            if catalog is self._newest:  # else a later release came meanwhile
                self._search = search
                logger.info("recommendations come from release %d now", catalog.version)
