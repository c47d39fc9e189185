"""A caller that goes away ends the work that was done for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from bentos.serving.app import make_app
from bentos.serving.disconnect import while_connected


def call(app: FastAPI, path: str, leave: asyncio.Event) -> tuple[asyncio.Task[None], list[dict[str, Any]]]:
    """A request whose caller goes away when `leave` is set; its task, and what was sent."""
    sent: list[dict[str, Any]] = []
    bodies = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> dict[str, Any]:
        if bodies:
            return bodies.pop()
        await leave.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    return asyncio.ensure_future(app(scope, receive, send)), sent


@pytest.fixture
def happened() -> list[str]:
    return []


@pytest.fixture
def app(happened: list[str]) -> FastAPI:
    app = make_app("test", "test")

    async def work() -> str:
        happened.append("began")
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)  # the end of the work may take a while too
            happened.append("ended")
        return "never"

    async def quick(fail: bool) -> str:
        if fail:
            raise RuntimeError("a bug")
        return "done"

    @app.post("/long")
    async def long(request: Request) -> str:
        return await while_connected(request, work())

    @app.post("/quick")
    async def short(request: Request, fail: bool = False) -> str:
        return await while_connected(request, quick(fail))

    @app.post("/polling")
    async def polling(request: Request) -> str:
        while not await request.is_disconnected():
            await asyncio.sleep(0.001)
        happened.append("noticed")
        return ""

    return app


def until(condition: Callable[[], bool]) -> Any:
    async def wait() -> None:
        while not condition():
            await asyncio.sleep(0.001)

    return asyncio.wait_for(wait(), 5)


def test_work_ends_when_its_caller_goes(app: FastAPI, happened: list[str]) -> None:
    async def scenario() -> list[dict[str, Any]]:
        leave = asyncio.Event()
        request, sent = call(app, "/long", leave)
        await until(lambda: happened == ["began"])
        leave.set()
        await asyncio.wait_for(request, 5)
        return sent

    assert asyncio.run(scenario())[0]["status"] == 499
    assert happened == ["began", "ended"]


def test_work_ends_when_the_request_is_cancelled(app: FastAPI, happened: list[str]) -> None:
    """As BentoML's timeout does."""

    async def scenario() -> None:
        request, _ = call(app, "/long", asyncio.Event())
        await until(lambda: happened == ["began"])
        request.cancel()
        await asyncio.wait([request], timeout=60)

    asyncio.run(scenario())
    assert happened == ["began", "ended"]


def test_a_caller_that_stays_gets_the_answer_or_the_error(app: FastAPI) -> None:
    client = TestClient(app, raise_server_exceptions=False)
    assert client.post("/quick").json() == "done"
    assert client.post("/quick?fail=true").json()["error"]["code"] == "internal"


def test_handlers_that_ask_learn_it_too(app: FastAPI, happened: list[str]) -> None:
    """Behind Starlette's BaseHTTPMiddleware they would not."""

    async def scenario() -> None:
        leave = asyncio.Event()
        leave.set()
        request, _ = call(app, "/polling", leave)
        await asyncio.wait_for(request, 5)

    asyncio.run(scenario())
    assert happened == ["noticed"]
