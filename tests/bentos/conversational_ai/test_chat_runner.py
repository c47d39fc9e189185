"""The runner of the conversational service, with a stand-in for the language model."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Generator, Iterable
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest

from aura.errors import InvalidRequestError
from bentos.conversational_ai.messages import (
    ChatMessage,
    Finished,
    GenerateRequest,
    Passage,
    Sentence,
    Started,
    StopRequest,
    read_event,
)
from bentos.conversational_ai.model import ChatRunner
from bentos.serving.errors import Failure
from bentos.serving.messages import ModelVersion
from inference.chat.answer import DECLINED, AnswerSentence
from inference.chat.answering import AnswerStream
from inference.chat.passages import ChatPassage
from inference.chat.reply import FinishReason
from tests.bentos.stub_assets import StubAssets, made_by

VERSION = ModelVersion(name="chat", version="1")
MADE_BY = made_by("chat")
STARTED = Started(sources=[], dropped_messages=3)
STOPPED = Finished(finish_reason="stopped", declined=False, model=VERSION, release=MADE_BY)


class Answer(AnswerStream):
    """What its sentences are, counted."""

    def __init__(self, sentences: Iterable[AnswerSentence], used_passages: int) -> None:
        super().__init__(self._counted(sentences), prompt_tokens=9, dropped_messages=3, used_passages=used_passages)
        self.made = 0
        self.closed = False

    def close(self) -> None:
        self.closed = True
        super().close()

    def _counted(self, sentences: Iterable[AnswerSentence]) -> Generator[AnswerSentence, None, FinishReason]:
        for sentence in sentences:
            self.made += 1
            yield sentence
        return "stop"


def quoted(number: int) -> Sentence:
    return Sentence(text=f"Sentence {number}.", source=0, status="quoted")


class Model:
    """Its prompts have room for two passages; its answers have no end, unless `sentences` are given."""

    question_tokens = 256

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.passages: list[ChatPassage] = []
        self.sentences: list[AnswerSentence] | None = None
        self.failure: Exception | None = None

    def answer(self, messages: list[dict[str, str]], passages: list[ChatPassage], max_new_tokens: int) -> Answer:
        assert max_new_tokens == 9
        self.passages = passages
        if self.failure:
            raise self.failure
        if not messages:
            raise InvalidRequestError("no question")
        endless = (AnswerSentence(f"Sentence {number}.", 0, "quoted") for number in count(1))
        self.answers.append(Answer(endless if self.sentences is None else self.sentences, min(len(passages), 2)))
        return self.answers[-1]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def runner(model: Model) -> Any:
    index: Any = SimpleNamespace(version=1)
    return ChatRunner.inner(StubAssets(served_index=index), lambda *_: model)


def answer(runner: Any, answer_id: str, seconds: float = 60, **changes: Any) -> AsyncIterator[bytes]:
    values = {
        "messages": [ChatMessage(role="user", content="Which shoes?")], "passages": [], "max_new_tokens": 9,
        "request_id": "abc-1",
    }  # fmt: skip
    request = GenerateRequest(answer_id=answer_id, timeout_seconds=seconds, **(values | changes))
    stream: AsyncIterator[bytes] = runner.generate(request)
    return stream


async def events_of(stream: AsyncIterator[bytes]) -> list[Any]:
    return [read_event(line) async for line in stream]


async def stop(runner: Any, answer_id: str) -> bool:
    return bool((await runner.stop(StopRequest(answer_id=answer_id))).was_running)


def test_an_answer_that_nobody_waits_for_ends_after_the_sentence_that_is_being_made(runner: Any, model: Model) -> None:
    async def scenario() -> list[Any]:
        stream = answer(runner, "a")
        events = [read_event(await anext(stream)) for _ in range(3)]
        assert await stop(runner, "a") is True
        events += await events_of(stream)
        assert await stop(runner, "a") is False
        return events

    assert asyncio.run(scenario()) == [STARTED, quoted(1), quoted(2), STOPPED]
    assert (model.answers[0].made, model.answers[0].closed) == (2, True)


def test_an_answer_that_is_given_up_while_it_waits_costs_nothing(runner: Any, model: Model) -> None:
    async def scenario() -> list[Any]:
        running, waiting = answer(runner, "a"), answer(runner, "b")
        assert [read_event(await anext(running)) for _ in range(2)] == [STARTED, quoted(1)]
        assert read_event(await anext(waiting)) == STARTED
        first = asyncio.ensure_future(anext(waiting))
        await asyncio.sleep(0.01)
        assert not first.done()  # one answer at a time
        await stop(runner, "b")
        await stop(runner, "a")
        assert await events_of(running) == [STOPPED]
        return [read_event(await first), *await events_of(waiting)]

    assert asyncio.run(scenario()) == [STOPPED]
    assert [answer.made for answer in model.answers] == [1, 0]


def test_an_answer_is_cut_at_its_deadline(runner: Any) -> None:
    events = asyncio.run(events_of(answer(runner, "a", seconds=0.05)))
    assert events[:2] == [STARTED, quoted(1)]
    assert events[-1] == Finished(finish_reason="deadline", declined=False, model=VERSION, release=MADE_BY)


def test_what_cannot_be_answered_and_waiting_in_vain_are_said_in_words(
    runner: Any, logged: Callable[[], list[tuple[str | None, str]]]
) -> None:
    def codes(events: list[Any]) -> list[str]:
        return [event.code for event in events if isinstance(event, Failure)]

    async def scenario() -> None:
        assert codes(await events_of(answer(runner, "a", messages=[]))) == ["invalid_request"]
        running = answer(runner, "b")
        assert [read_event(await anext(running)) for _ in range(2)] == [STARTED, quoted(1)]
        # What can be known at once is not found out in a queue.
        assert codes(await events_of(answer(runner, "d", messages=[]))) == ["invalid_request"]
        # 570 s are left for waiting and answering together.
        assert codes(await events_of(answer(runner, "c", seconds=569.99))) == ["busy"]
        await stop(runner, "b")
        assert await events_of(running) == [STOPPED]
        # None is known any longer, however it ended.
        assert [await stop(runner, answer_id) for answer_id in ("a", "b", "c", "d")] == [False] * 4

    asyncio.run(scenario())
    assert ("abc-1", "invalid_request: no question") in logged()


def test_a_bug_ends_the_stream_without_an_end_and_is_logged_with_the_request(
    runner: Any, model: Model, logged: Callable[[], list[tuple[str | None, str]]]
) -> None:
    """The service takes a stream without an end for a broken one."""
    model.failure = RuntimeError("a bug")
    with pytest.raises(RuntimeError, match="a bug"):
        asyncio.run(events_of(answer(runner, "a")))
    assert ("abc-1", "an answer broke off") in logged()


def test_an_answer_is_sentences_each_with_its_source(runner: Any, model: Model) -> None:
    model.sentences = [AnswerSentence("Wear brown.", 1, "quoted"), AnswerSentence("Not black.", 0, "supported")]
    assert asyncio.run(events_of(answer(runner, "a"))) == [
        STARTED, Sentence(text="Wear brown.", source=1, status="quoted"),
        Sentence(text="Not black.", source=0, status="supported"),
        Finished(finish_reason="stop", declined=False, model=VERSION, release=MADE_BY),
    ]  # fmt: skip


def test_that_nothing_answers_is_said_in_a_sentence_without_a_source(runner: Any, model: Model) -> None:
    model.sentences = [DECLINED]
    assert asyncio.run(events_of(answer(runner, "a"))) == [
        STARTED, Sentence(text=DECLINED.text, source=None, status="declined"),
        Finished(finish_reason="stop", declined=True, model=VERSION, release=MADE_BY),
    ]  # fmt: skip


def passages(count: int, similarity: float) -> list[Passage]:
    return [
        Passage(slug=str(n), title="Wool", heading="Washing", text="At 30 degrees.", score=1.0, similarity=similarity)
        for n in range(count)
    ]


def test_a_passage_comes_to_the_model_with_its_source_and_its_similarity(runner: Any, model: Model) -> None:
    asyncio.run(events_of(answer(runner, "a", seconds=0, passages=passages(1, 0.625))))
    assert model.passages == [ChatPassage(source="Wool. Washing", text="At 30 degrees.", similarity=0.625)]
    assert model.passages[0].whole == "Wool. Washing.\nAt 30 degrees."


def test_the_runner_says_what_the_prompt_had_room_for(runner: Any) -> None:
    found = passages(5, 1.0)
    events = asyncio.run(events_of(answer(runner, "a", seconds=0, passages=found)))
    assert events[0] == Started(sources=found[:2], dropped_messages=3)


def test_versions_are_told_while_an_answer_is_generated(runner: Any) -> None:
    async def scenario() -> Any:
        await anext(answer(runner, "a"))
        return await runner.status()

    told = asyncio.run(scenario())
    assert told.model_dump() == {
        "model": {"name": "chat", "version": "1"}, "index_version": "1", "degraded": [], "question_tokens": 256,
        "release": MADE_BY.model_dump(),
    }  # fmt: skip
