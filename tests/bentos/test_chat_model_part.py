"""The model part of the conversational service, with a stand-in for the language model."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from aura.errors import InvalidRequestError
from bentos.conversational_ai.model import Conversationalist
from bentos.conversational_ai.turns import Turn


class Pieces:
    """An answer without an end."""

    finish_reason = "stop"

    def __init__(self) -> None:
        self.made = 0
        self.closed = False

    def __iter__(self) -> Pieces:
        return self

    def __next__(self) -> str:
        self.made += 1
        return f"{self.made} "

    def close(self) -> None:
        self.closed = True


class Model:
    def __init__(self) -> None:
        self.answers: list[Pieces] = []

    def stream(self, messages: list[dict[str, str]], **_: Any) -> Pieces:
        if not messages:
            raise InvalidRequestError("no question")
        self.answers.append(Pieces())
        return self.answers[-1]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def part(model: Model) -> Any:
    part = Conversationalist.inner.__new__(Conversationalist.inner)
    part._model, part._turn, part._wanted = model, Turn(), set()
    return part


def ask(part: Any, answer_id: str, seconds: float = 60, **changes: Any) -> AsyncIterator[str]:
    values = {"messages": [{"role": "user", "content": "Which shoes?"}], "passages": [], "max_new_tokens": 9}
    stream: AsyncIterator[str] = part.generate(answer_id=answer_id, seconds=seconds, **(values | changes))
    return stream


def test_an_answer_that_nobody_waits_for_ends_after_the_piece_that_is_being_made(part: Any, model: Model) -> None:
    async def scenario() -> list[dict[str, Any]]:
        stream = ask(part, "a")
        events = [json.loads(await anext(stream)) for _ in range(2)]
        assert await part.stop(answer_id="a") is True
        events += [json.loads(line) async for line in stream]
        assert await part.stop(answer_id="a") is False
        return events

    assert asyncio.run(scenario()) == [{"text": "1 "}, {"text": "2 "}, {"finish_reason": "stopped"}]
    assert (model.answers[0].made, model.answers[0].closed) == (2, True)


def test_an_answer_that_is_given_up_while_it_waits_costs_nothing(part: Any, model: Model) -> None:
    async def scenario() -> list[dict[str, Any]]:
        running, waiting = ask(part, "a"), ask(part, "b")
        await anext(running)
        first = asyncio.ensure_future(anext(waiting))
        await asyncio.sleep(0.01)
        assert not first.done()  # one answer at a time
        await part.stop(answer_id="b")
        await part.stop(answer_id="a")
        assert [json.loads(line) async for line in running] == [{"finish_reason": "stopped"}]
        return [json.loads(await first), *[json.loads(line) async for line in waiting]]

    assert asyncio.run(scenario()) == [{"finish_reason": "stopped"}]
    assert [one.made for one in model.answers] == [1, 0]


def test_an_answer_is_cut_at_its_deadline(part: Any) -> None:
    async def scenario() -> list[dict[str, Any]]:
        return [json.loads(line) async for line in ask(part, "a", seconds=0.05)]

    events = asyncio.run(scenario())
    assert events[0] == {"text": "1 "}
    assert events[-1] == {"finish_reason": "deadline"}


def test_what_cannot_be_answered_and_waiting_in_vain_are_said_in_words(part: Any) -> None:
    async def scenario() -> None:
        lines = [json.loads(line) async for line in ask(part, "a", messages=[])]
        assert [line["error"]["code"] for line in lines] == ["invalid_request"]
        running = ask(part, "b")
        await anext(running)
        # 570 s are left for waiting and answering together.
        lines = [json.loads(line) async for line in ask(part, "c", seconds=569.99)]
        assert [line["error"]["code"] for line in lines] == ["busy"]
        await part.stop(answer_id="b")
        assert [json.loads(line) async for line in running] == [{"finish_reason": "stopped"}]
        assert part._wanted == set()

    asyncio.run(scenario())


def test_versions_are_told_while_an_answer_is_generated(part: Any) -> None:
    part._champion = SimpleNamespace(as_dict=lambda: {"name": "chat", "version": "3"})
    part._index = SimpleNamespace(version=7)

    async def scenario() -> dict[str, Any]:
        await anext(ask(part, "a"))
        about: dict[str, Any] = await part.about()
        return about

    assert asyncio.run(scenario()) == {"model": {"name": "chat", "version": "3"}, "index_version": "7"}
