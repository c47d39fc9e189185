"""Which web pages may call a service: CORS for HTTP, the same rule for WebSockets, which CORS leaves open to every page."""

from __future__ import annotations

from collections.abc import Callable, Collection

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from bentos.serving.errors import error_response
from bentos.serving.release_header import HEADER

_POLICY_VIOLATION = 1008


class Origins(CORSMiddleware):
    """Answers preflight requests, marks answers for allowed pages, and refuses WebSockets of other pages.

    Args:
        allowed: origins, called at each request, because settings are not read at import; `*`: all.
    """

    def __init__(self, app: ASGIApp, allowed: Callable[[], Collection[str]]) -> None:
        super().__init__(
            app, allow_methods=("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"), allow_headers=("*",),
            expose_headers=("x-request-id", "retry-after", HEADER),
        )  # fmt: skip
        self._allowed = allowed

    def is_allowed_origin(self, origin: str) -> bool:
        return not {"*", origin}.isdisjoint(self._allowed())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and (origin := _foreign_origin(scope)) and not self.is_allowed_origin(origin):
            await _refuse(WebSocket(scope, receive, send), origin)
        else:
            await super().__call__(scope, receive, send)


def _foreign_origin(scope: Scope) -> str | None:
    """Origin of the page that opens a WebSocket, unless it is the service's own; programs send none."""
    headers = Headers(scope=scope)
    origin = headers.get("origin")
    # Not parsed: a caller may send anything, and a browser sends nothing behind the host.
    return None if origin is None or origin.partition("://")[2] == headers.get("host") else origin


async def _refuse(websocket: WebSocket, origin: str) -> None:
    if "websocket.http.response" not in websocket.scope.get("extensions", {}):
        await websocket.close(_POLICY_VIOLATION, "origin not allowed")
        return
    error = HTTPException(403, f"pages of {origin} may not open a conversation; serving.cors_origins allows them")
    await websocket.send_denial_response(error_response(error))
