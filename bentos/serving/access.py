"""One log line and one observation per request."""

from __future__ import annotations

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.serving.metrics import IN_PROGRESS, REQUESTS, SECONDS, method_label, route_template
from bentos.serving.request_log import logger

_PATH_CHARS = 200
_HEALTHY_OR_LOADING = (200, 503)


class AccessLog:
    """Logs and counts each request and each WebSocket conversation when it ends.

    BentoML's access log is outside of the application, where the request id is not known yet, so it is turned off. A health
    check is logged at DEBUG: it comes every few seconds, and many times per second while a service starts.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        status = 0
        route, method = route_template(scope), method_label(scope)
        path = scope["path"][:_PATH_CHARS]
        began = time.perf_counter()

        async def send_noted(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = 101
            elif message["type"] == "websocket.close":
                status = status or 403  # what the server answers to a handshake that is refused
            await send(message)

        try:
            with IN_PROGRESS.labels(route).track_inprogress():
                await self._app(scope, receive, send_noted)
        finally:
            seconds = time.perf_counter() - began
            REQUESTS.labels(route, method, str(status)).inc()
            SECONDS.labels(route).observe(seconds)
            quiet = route.endswith("/health") and status in _HEALTHY_OR_LOADING
            fields = {"method": method, "route": route, "path": path, "status": status}
            logger.log(
                logging.DEBUG if quiet else logging.INFO, "%s %s %d", method, path, status,
                extra=fields | {"milliseconds": round(1000 * seconds, 1)},
            )  # fmt: skip
