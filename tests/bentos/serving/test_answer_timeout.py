"""An answer begins in time, and nothing of its request is kept for longer than it takes."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from unittest.mock import Mock

import pytest
import uvloop
from bentoml._internal.server.base_app import BaseAppFactory
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.serving import bentoml_options
from bentos.serving.answer_timeout import AnswerTimeout

HOUR = 3600.0
START: Message = {"type": "http.response.start", "status": 200, "headers": []}


class Trace:
    """Belongs to a request."""


_trace: contextvars.ContextVar[Trace] = contextvars.ContextVar("trace")


async def _asked(app: ASGIApp) -> list[int]:
    """Status of what an app answers."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http"}, receive, send)
    return [message["status"] for message in sent if "status" in message]


def _app_that(work: Callable[[Send], Awaitable[None]]) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await work(send)

    return app


def test_nothing_of_a_request_is_kept_when_it_has_been_answered() -> None:
    kept: list[weakref.ref[Trace]] = []

    async def request() -> list[int]:
        trace = Trace()
        kept.append(weakref.ref(trace))
        _trace.set(trace)
        return await _asked(AnswerTimeout(_app_that(lambda send: send(START)), HOUR))

    async def serve() -> None:
        assert await asyncio.create_task(request()) == [200]
        await asyncio.sleep(0)
        gc.collect()
        assert kept[0]() is None

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # as services run; asyncio's own sweeps later
        runner.run(serve())


def test_an_answer_that_does_not_begin_is_ended() -> None:
    assert asyncio.run(_asked(AnswerTimeout(_app_that(lambda _send: asyncio.sleep(60)), 0.01))) == [504]


def test_an_app_that_is_ended_and_answers_all_the_same_has_one_answer() -> None:
    async def stubborn(send: Send) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await send(START)

    assert asyncio.run(_asked(AnswerTimeout(_app_that(stubborn), 0.01))) == [504]


def test_an_answer_that_has_begun_may_take_longer() -> None:
    async def slow(send: Send) -> None:
        await send(START)
        await asyncio.sleep(0.05)

    assert asyncio.run(_asked(AnswerTimeout(_app_that(slow), 0.01))) == [200]


def test_a_time_limit_of_the_app_itself_is_its_own() -> None:
    async def late(_send: Send) -> None:
        raise TimeoutError("a store")

    with pytest.raises(TimeoutError, match="a store"):
        asyncio.run(_asked(AnswerTimeout(_app_that(late), HOUR)))


def test_bentoml_limits_the_time_of_every_app_so() -> None:
    assert bentoml_options.KEEP_CONNECTIONS  # every service and every runner imports it
    app = Mock(spec=BaseAppFactory, timeout=HOUR, max_concurrency=None)
    assert [middleware.cls for middleware in BaseAppFactory.middlewares.fget(app)] == [AnswerTimeout]
