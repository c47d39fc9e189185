"""BentoML's limit on the time until an answer begins, with timers that end with their requests.

BentoML's own middleware never cancels its timers. Each holds what belongs to its request, the trace and the variables of its
context, until the limit has passed: 40 minutes for a service. After 15,000 requests, looking through all that for garbage takes a
third of a second, in which nobody is answered.
"""

from __future__ import annotations

import asyncio

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class AnswerTimeout:
    """Answers 504 in the place of an app whose answer has not begun in time.

    Args:
        timeout: seconds from the request to the first part of its answer.
    """

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self._app, self._timeout = app, timeout

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        limit = asyncio.timeout(self._timeout)

        async def send_in_time(message: Message) -> None:
            if limit.expired():
                return  # 504 is the answer
            if limit.when() is not None:
                limit.reschedule(None)
            await send(message)

        try:
            async with limit:
                await self._app(scope, receive, send_in_time)
        except TimeoutError:
            if not limit.expired():
                raise
        if limit.expired():
            answer = JSONResponse({"error": f"Not able to process the request in {self._timeout} seconds"}, 504)
            await answer(scope, receive, send)
