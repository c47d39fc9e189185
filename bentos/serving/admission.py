"""How many requests are in service at once: those that would wait too long are refused at once, and told when to come again.

Without a limit, every request beyond what the models can answer makes all the others slower, until none is answered in time.
"""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.serving.errors import OverloadedError, error_response

_WORK = ("POST", "PUT", "PATCH", "DELETE")


def is_work(scope: Scope) -> bool:
    """Whether a request is to be limited. A health check is answered however busy the service is, and a page of docs too."""
    return scope["type"] == "http" and scope["method"] in _WORK


class Admission:
    """Refuses a request, before its body is read, while as many as the limit are in service.

    Args:
        limit: requests at once, of this process; called at each, because settings are not read at import.
    """

    def __init__(self, app: ASGIApp, limit: Callable[[], int]) -> None:
        self._app = app
        self._limit = limit
        self._in_service = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not is_work(scope):
            await self._app(scope, receive, send)
            return
        if self._in_service >= self._limit():
            busy = OverloadedError(
                f"{self._in_service} requests are being answered, as many as this service takes at once"
            )
            await error_response(busy)(scope, receive, send)
            return
        self._in_service += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_service -= 1
