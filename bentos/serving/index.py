"""How a service keeps up with the index.

A reader holds one release, and with it versions of the Lance tables that cleanup may remove a week after a newer release
is served. So a service looks which one is served before each search, which takes a millisecond or two.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from aura.errors import AuraError
from bentos.serving.places import places

if TYPE_CHECKING:  # the API parts never need torch
    from inference.retrieval.search import Index

logger = logging.getLogger("aura.services")

_LANCE_ERRORS = (OSError, RuntimeError, ValueError)
"""Lance has no errors of its own: it raises these."""


def follow_release(index: Index) -> None:
    """Move a reader to the release that is served now; if that fails it goes on with what it holds, and the log says so.

    In a Bento the index is pinned and nothing moves.
    """
    if places().pinned:
        return
    try:
        if index.refresh():
            logger.info("the index is at release %d now", index.version)
    except (AuraError, *_LANCE_ERRORS) as error:
        logger.warning("cannot follow the index, staying with release %d: %s", index.version, error)
