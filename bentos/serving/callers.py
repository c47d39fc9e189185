"""Work that is worth doing only while somebody waits for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from fastapi import Request, Response
from starlette.requests import ClientDisconnect

logger = logging.getLogger("aura.services")

T = TypeVar("T")

_CLIENT_CLOSED_REQUEST = 499
"""nginx's status for it: nobody reads it but the access log."""


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Result of `work`, which is cancelled when the caller of a request goes away. The body must have been read.

    Listening beats polling `is_disconnected`: work that waits for its turn would not get around to ask.

    Raises:
        ClientDisconnect: the caller has gone.
    """
    doing = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({doing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            leaving.result()
            raise ClientDisconnect
        return doing.result()
    finally:
        leaving.cancel()
        doing.cancel()
        # What the work does when it is cancelled belongs to the request too.
        await asyncio.gather(doing, leaving, return_exceptions=True)


async def on_client_gone(request: Request, _error: Exception) -> Response:
    logger.info("the caller of request %s has gone", request.state.request_id)
    return Response(status_code=_CLIENT_CLOSED_REQUEST)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
