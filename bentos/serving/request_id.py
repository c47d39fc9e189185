"""Gives every request an id, and whatever nobody else handles the error body.

A plain ASGI middleware: behind Starlette's `BaseHTTPMiddleware` a handler never learns that its caller has gone
(`Request.is_disconnected` stays False there; reproduced with Starlette 1.10).
"""

from __future__ import annotations

import logging
import re
import uuid

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.serving.error_body import answer_with, error_detail

logger = logging.getLogger("aura.services")

_USABLE = re.compile(r"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Takes the caller's `x-request-id` or makes one; handlers find it as `request.state.request_id`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if _USABLE.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_with_id(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            if started:  # half an answer is out: only the server can end it, by closing the connection
                raise
            logger.exception("request %s failed", request_id)
            await answer_with(500, error_detail(error, request_id))(scope, receive, send_with_id)
