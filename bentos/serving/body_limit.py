"""Refuses request bodies that are too long, before they fill memory or disk.

FastAPI reads a JSON body whole and Starlette spools an upload to disk before any handler runs, so a limit in a handler
comes too late.
"""

from __future__ import annotations

from collections.abc import Callable

from fastapi import HTTPException, Request, Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.serving.error_body import ErrorDetail, answer_with


class BodyTooLargeError(HTTPException):
    """The body is longer than allowed. An HTTPException, because FastAPI turns any other error of a body into a 400."""

    def __init__(self, limit_bytes: int, received: str) -> None:
        super().__init__(413, f"the request has {received} bytes; at most {limit_bytes} are allowed")


async def on_body_too_large(request: Request, error: Exception) -> Response:
    """The error body with the code `too_large`."""
    detail = ErrorDetail(
        code="too_large", message=str(getattr(error, "detail", error)), hint="send less; scale pictures down first",
        request_id=request.state.request_id,
    )  # fmt: skip
    return answer_with(413, detail)


class BodyLimit:
    """Counts the bytes of a body: by what `Content-Length` announces, and then by what really comes.

    Args:
        limit_bytes: asked at each request, because settings are not read at import.
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
            refusal = await on_body_too_large(Request(scope), BodyTooLargeError(limit, announced))
            await refusal(scope, receive, send)
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
