"""The header `x-aura-release` of answers: which release made them, and which of its versions.

Whoever gets an answer of a runner notes its release; the middleware puts the last one into the header. A context variable holds
the note, as it does the request's id: handlers and the tasks that they start share it.
"""

from __future__ import annotations

from contextvars import ContextVar

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.serving.messages import ReleaseVersions

HEADER = "x-aura-release"
_noted: ContextVar[list[ReleaseVersions] | None] = ContextVar("noted_release", default=None)


def note_release(release: ReleaseVersions) -> None:
    """The answer to the request under way is made from this release."""
    if (noted := _noted.get()) is not None:
        noted.append(release)


class ReleaseHeader:
    """Names the release in the header of an answer that was made from one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        noted: list[ReleaseVersions] = []
        _noted.set(noted)

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start" and noted and noted[-1].id:
                MutableHeaders(scope=message)[HEADER] = noted[-1].header()
            await send(message)

        await self._app(scope, receive, send_named)
