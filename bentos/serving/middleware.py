"""Middleware of every service: request ids, a log line per request, limits, error bodies, release, tokens, HEAD.

The request id is asgi-correlation-id's: it takes the caller's `x-request-id` or makes one, answers with it, and keeps it in a
context variable, for WebSockets too. All are plain ASGI middleware: behind Starlette's `BaseHTTPMiddleware` a handler never
learns that its caller has gone (`Request.is_disconnected` stays False there; reproduced with Starlette 1.10).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.serving.access import AccessLog
from bentos.serving.admission import Admission
from bentos.serving.auth import Authentication, AuthRules
from bentos.serving.errors import BodyTooLargeError, error_response
from bentos.serving.origins import Origins
from bentos.serving.rate_limits import RateLimits
from bentos.serving.release_header import ReleaseHeader
from bentos.serving.request_log import logger
from bentos.serving.settings import ServingSettings

_USABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


_MAX_JSON_COMMAS = 100_000
"""Limit of the values in a JSON body: whoever parses more of them answers nobody else meanwhile. Neither the longest
conversation nor an outfit with all its images comes near."""


def add_middleware(
    app: FastAPI,
    max_body_bytes: Callable[[Scope], int],
    settings: Callable[[], ServingSettings],
    auth_rules: Callable[[], AuthRules],
    open_paths: Collection[str],
) -> None:
    """Add all of them; the last one added sees a request first.

    Args:
        max_body_bytes: body limit of a request.
        settings: called at each request, as `max_body_bytes` is, because settings are not read at import.
    """
    app.add_middleware(BodyLimit, limit_bytes=max_body_bytes)
    app.add_middleware(Authentication, rules=auth_rules, open_paths=open_paths)
    app.add_middleware(UnhandledErrors)
    app.add_middleware(Admission, limit=lambda: settings().max_requests)
    app.add_middleware(RateLimits, settings=settings)
    app.add_middleware(ReleaseHeader)
    app.add_middleware(Head)
    app.add_middleware(Origins, allowed=lambda: settings().cors_origins)
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


class Head:
    """Answers HEAD as GET without the body, which FastAPI's routes do not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_without_body(message: Message) -> None:
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        await self._app({**scope, "method": "GET"}, receive, send_without_body)


class BodyLimit:
    """Refuses a body that is too long: first by its `Content-Length`, then by the bytes that arrive.

    FastAPI reads a JSON body whole and Starlette spools an upload to disk before any handler runs, so a limit in a handler
    comes too late.

    Args:
        limit_bytes: of a request; called at each, because settings are not read at import.
    """

    def __init__(self, app: ASGIApp, limit_bytes: Callable[[Scope], int]) -> None:
        self._app = app
        self._limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._limit_bytes(scope)
        headers = Headers(scope=scope)
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            await error_response(BodyTooLargeError(limit, announced))(scope, receive, send)
            return
        is_json = "json" in headers.get("content-type", "").lower()
        received = commas = 0

        async def receive_counted() -> Message:
            nonlocal received, commas
            message = await receive()
            body = message.get("body", b"")
            received += len(body)
            if received > limit:
                raise BodyTooLargeError(limit, f"{received} or more")
            commas += body.count(b",") if is_json else 0
            if commas > _MAX_JSON_COMMAS:
                raise BodyTooLargeError(_MAX_JSON_COMMAS, f"{commas} or more", "commas")
            return message

        await self._app(scope, receive_counted, send)
