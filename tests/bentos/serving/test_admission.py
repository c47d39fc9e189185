"""What a service takes at once, and what one caller may ask; who is refused is told when to come again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

from bentos.serving.app import apply_settings, make_app
from bentos.serving.errors import RateLimitError
from bentos.serving.rate_limits import CallerLimits
from bentos.serving.settings import ServingSettings


class Service:
    """An application whose one endpoint answers when it is let."""

    def __init__(self, settings: ServingSettings) -> None:
        self.app = make_app("test", "test")
        apply_settings(self.app, settings)
        self.begun, self.may_answer = 0, asyncio.Event()

        @self.app.post("/work")
        async def work() -> str:
            self.begun += 1
            await self.may_answer.wait()
            return "done"

        @self.app.get("/health")
        async def health() -> str:
            return "ready"

    @asynccontextmanager
    async def client(self, address: str = "192.0.2.1") -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app, client=(address, 1234))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


async def until_begun(service: Service, count: int) -> None:
    async with asyncio.timeout(60):
        while service.begun < count:
            await asyncio.sleep(0.001)


def test_as_many_as_the_limit_are_in_service_and_the_next_is_refused_with_a_time_to_come_again() -> None:
    async def ask() -> None:
        service = Service(ServingSettings(max_requests=2))
        async with service.client() as client:
            taken = [asyncio.create_task(client.post("/work")) for _ in range(2)]
            await until_begun(service, 2)
            refused = await client.post("/work")
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "overloaded")
            assert int(refused.headers["retry-after"]) >= 1
            assert (await client.get("/health")).status_code == 200, "a health check is no work"
            service.may_answer.set()
            assert [answer.status_code for answer in await asyncio.gather(*taken)] == [200, 200]
            assert (await client.post("/work")).status_code == 200, "there is room again"

    asyncio.run(ask())


def test_a_request_whose_caller_left_and_one_that_failed_make_room() -> None:
    async def ask() -> None:
        service = Service(ServingSettings(max_requests=1))
        async with service.client() as client:
            leaving = asyncio.create_task(client.post("/work"))
            await until_begun(service, 1)
            leaving.cancel()
            await asyncio.gather(leaving, return_exceptions=True)
            service.may_answer.set()
            assert (await client.post("/none")).status_code in (404, 405)
            assert (await client.post("/work")).status_code == 200

    asyncio.run(ask())


def test_a_refused_body_is_not_read() -> None:
    async def ask() -> list[Message]:
        service = Service(ServingSettings(max_requests=1))
        async with service.client() as client:
            taken = asyncio.create_task(client.post("/work"))
            await until_begun(service, 1)
            sent = await answer_without_body(service.app)
            service.may_answer.set()
            await taken
            return sent

    assert asyncio.run(ask())[0]["status"] == 503


async def answer_without_body(app: FastAPI) -> list[Message]:
    """What is sent to a caller whose body never comes."""
    sent: list[Message] = []

    async def receive() -> Message:
        raise AssertionError("the body is asked for")

    async def send(message: Message) -> None:
        sent.append(message)

    scope: Scope = {
        "type": "http", "method": "POST", "path": "/work", "raw_path": b"/work", "query_string": b"", "headers": [],
        "scheme": "http", "http_version": "1.1", "root_path": "", "client": ("192.0.2.1", 1), "server": ("test", 80), "asgi": {},
    }  # fmt: skip
    given: tuple[Receive, Send] = (receive, send)
    await app(scope, *given)
    return sent


def test_one_caller_who_asks_too_often_is_told_when_to_come_again_and_others_are_answered() -> None:
    async def ask() -> None:
        service = Service(ServingSettings(rate_limits="3/hour"))
        service.may_answer.set()
        async with service.client("192.0.2.1") as one, service.client("192.0.2.2") as other:
            assert [(await one.post("/work")).status_code for _ in range(4)] == [200, 200, 200, 429]
            refused = await one.post("/work")
            assert refused.json()["error"]["code"] == "rate_limited"
            assert 1 <= int(refused.headers["retry-after"]) <= 3600
            assert "3 per 1 hour" in refused.json()["error"]["message"]
            assert (await one.get("/health")).status_code == 200
            assert (await other.post("/work")).status_code == 200

    asyncio.run(ask())


def test_every_limit_of_several_holds() -> None:
    async def ask() -> None:
        limits = CallerLimits("100/second; 2/hour")
        await limits.count("a")
        await limits.count("a")
        with pytest.raises(RateLimitError, match="2 per 1 hour"):
            await limits.count("a")

    asyncio.run(ask())


def test_while_redis_is_away_each_process_counts_for_itself(caplog: pytest.LogCaptureFixture) -> None:
    async def ask() -> None:
        limits = CallerLimits("2/hour", "redis://127.0.0.1:1/0")  # no server has port 1
        await limits.count("a")
        await limits.count("a")
        with pytest.raises(RateLimitError):
            await limits.count("a")

    asyncio.run(ask())
    assert caplog.text.count("Redis is away") == 1, "said once, and not asked again at each request"


def test_a_limit_that_is_not_understood_is_refused() -> None:
    with pytest.raises(ValidationError, match="rate_limits"):
        ServingSettings(rate_limits="often")
