"""Middleware of every service: request ids, a log line per request, the error body for unhandled exceptions, a limit on bodies.

The request id is asgi-correlation-id's: it takes the caller's `x-request-id` or makes one, answers with it, and keeps it in a
context variable, for WebSockets too. All are plain ASGI middleware: behind Starlette's `BaseHTTPMiddleware` a handler never
learns that its caller has gone (`Request.is_disconnected` stays False there; reproduced with Starlette 1.10).
"""

from __future__ import annotations

import re
from collections.abc import Callable

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.serving.access import AccessLog
from bentos.serving.errors import BodyTooLargeError, error_response
from bentos.serving.request_log import logger

_USABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def add_middleware(app: FastAPI, max_body_bytes: Callable[[], int]) -> None:
    """Add all of them; the last one added sees a request first."""
    app.add_middleware(BodyLimit, limit_bytes=max_body_bytes)
    app.add_middleware(UnhandledErrors)
    app.add_middleware(AccessLog)
    app.add_middleware(CorrelationIdMiddleware, header_name="x-request-id", validator=is_usable_id)


def is_usable_id(request_id: str) -> bool:
    """Whether a caller's request id is short and plain enough for a log."""
    return _USABLE_ID.fullmatch(request_id) is not None


class UnhandledErrors:
    """Answers with the error body when a handler raises an unexpected exception."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_tracked(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, send_tracked)
        except Exception as error:
            if started:  # half an answer is out: only the server can end it, by closing the connection
                raise
            logger.exception("failed")
            await error_response(error)(scope, receive, send)


class BodyLimit:
    """Refuses a body that is too long: first by its `Content-Length`, then by the bytes that arrive.

    FastAPI reads a JSON body whole and Starlette spools an upload to disk before any handler runs, so a limit in a handler
    comes too late.

    Args:
        limit_bytes: called at each request, because settings are not read at import.
    """

    def __init__(self, app: ASGIApp, limit_bytes: Callable[[], int]) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_bytes()
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            await error_response(BodyTooLargeError(limit, announced))(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit:
                raise BodyTooLargeError(limit, f"{received} or more")
            return message

        await self._app(scope, receive_counted, send)
