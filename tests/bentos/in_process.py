"""A service that another one calls over HTTP, in the process of the tests."""

from __future__ import annotations

from typing import Any

import httpx
from _bentoml_sdk.service import set_current_service
from fastapi import FastAPI


class InProcess(httpx.AsyncBaseTransport):
    """A service at any address with the path `/api`; notes what it is asked.

    Args:
        service: BentoML's inner instance.
        app: its endpoints.
    """

    def __init__(self, service: Any, app: FastAPI) -> None:
        self.service, self._asgi = service, httpx.ASGITransport(app)
        self.calls: list[httpx.Request] = []
        self.down = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.calls.append(request)
        if self.down:
            raise httpx.ConnectError("nothing listens there")
        request.url = request.url.copy_with(path=request.url.path.removeprefix("/api"))
        set_current_service(self.service)
        return await self._asgi.handle_async_request(request)
