"""The runner of the conversational service, with a stand-in for the language model."""

from __future__ import annotations

import asyncio
import threading
import time
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
    Usage,
    read_event,
)
from bentos.conversational_ai.model import ChatRunner
from bentos.serving.errors import Failure
from bentos.serving.messages import ModelVersion
from inference.chat.answer import DECLINED, AnswerSentence, AnswerStoppedError, Wanted, always
from inference.chat.answering import AnswerStream
from inference.chat.passages import ChatPassage
from inference.chat.reply import FinishReason
from tests.bentos.stub_assets import StubAssets, made_by

VERSION = ModelVersion(name="chat", version="1")
MADE_BY = made_by("chat")
STARTED = Started(sources=[], dropped_messages=3)


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


def stopped_after(sentences: int) -> Finished:
    return Finished(
        finish_reason="stopped", declined=False, model=VERSION, release=MADE_BY,
        usage=Usage(prompt_tokens=9, completion_tokens=2 * sentences),
    )  # fmt: skip


class Model:
    """Its prompts have room for two passages; its answers have no end, unless `sentences` are given."""

    question_tokens = 256

    def token_count(self, text: str) -> int:
        return len(text.split())

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.passages: list[ChatPassage] = []
        self.sentences: list[AnswerSentence] | None = None
        self.wanted: Wanted = always
        self.may_make = threading.Semaphore(10**6)
        """One per sentence; a thread waits for it."""
        self.failure: Exception | None = None

    def _made(self, number: int) -> AnswerSentence:
        while not self.may_make.acquire(timeout=0.01):
            if not self.wanted():
                raise AnswerStoppedError
        return AnswerSentence(f"Sentence {number}.", 0, "quoted")

    def answer(
        self,
        messages: list[dict[str, str]],
        passages: list[ChatPassage],
        max_new_tokens: int,
        wanted: Wanted,
        backend: None,
    ) -> Answer:
        assert max_new_tokens == 9
        assert backend is None
        self.passages = passages
        self.wanted = wanted
        if self.failure:
            raise self.failure
        if not messages:
            raise InvalidRequestError("no question")
        endless = (self._made(number) for number in count(1))
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


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


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

    assert asyncio.run(scenario()) == [STARTED, quoted(1), quoted(2), stopped_after(2)]
    assert (model.answers[0].made, model.answers[0].closed) == (2, True)


def test_an_answer_ends_at_once_though_its_sentence_is_not_made_yet(runner: Any, model: Model) -> None:
    """A thread cannot be interrupted: it is left behind, and gives up when it asks whether the answer is wanted."""
    model.may_make = threading.Semaphore(1)

    async def scenario() -> list[Any]:
        stream = answer(runner, "a")
        events = [read_event(await anext(stream)) for _ in range(2)]
        waiting = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.01)
        await stop(runner, "a")
        return [*events, read_event(await waiting), *await events_of(stream)]

    assert asyncio.run(scenario()) == [STARTED, quoted(1), stopped_after(1)]
    until(lambda: model.answers[0].closed)
    assert model.answers[0].made == 1


def test_an_answer_whose_caller_is_lost_is_not_made_further(runner: Any, model: Model) -> None:
    async def scenario() -> None:
        stream = answer(runner, "a")
        await anext(stream)
        await anext(stream)
        await stream.aclose()  # type: ignore[attr-defined]

    asyncio.run(scenario())
    assert not model.wanted()
    until(lambda: model.answers[0].closed)


def test_answers_are_made_side_by_side(runner: Any) -> None:
    async def scenario() -> list[Any]:
        first, second = answer(runner, "a"), answer(runner, "b")
        heard = [read_event(await anext(stream)) for stream in (first, second, first, second)]
        for answer_id, stream in (("a", first), ("b", second)):
            await stop(runner, answer_id)
            assert await events_of(stream) == [stopped_after(1)]
        return heard

    assert asyncio.run(scenario()) == [STARTED, STARTED, quoted(1), quoted(1)]


def test_a_process_that_ends_waits_for_its_answers(runner: Any) -> None:
    async def scenario() -> None:
        stream = answer(runner, "a")
        await anext(stream)
        ending = asyncio.ensure_future(runner._all_answered())
        await asyncio.sleep(1.5)
        assert not ending.done()
        await stop(runner, "a")
        await events_of(stream)
        await asyncio.wait_for(ending, 60)

    asyncio.run(scenario())


def test_an_answer_is_cut_at_its_deadline(runner: Any) -> None:
    events = asyncio.run(events_of(answer(runner, "a", seconds=0.05)))
    assert events[:2] == [STARTED, quoted(1)]
    words = sum(len(event.text.split()) for event in events if isinstance(event, Sentence))
    used = Usage(prompt_tokens=9, completion_tokens=words)
    assert events[-1] == Finished(finish_reason="deadline", declined=False, model=VERSION, release=MADE_BY, usage=used)


def test_what_cannot_be_answered_is_said_in_words(
    runner: Any, logged: Callable[[], list[tuple[str | None, str]]]
) -> None:
    async def scenario() -> list[Any]:
        events = await events_of(answer(runner, "a", messages=[]))
        assert await stop(runner, "a") is False
        return events

    [failure] = asyncio.run(scenario())
    assert isinstance(failure, Failure)
    assert failure.code == "invalid_request"
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
        Finished(
            finish_reason="stop", declined=False, model=VERSION, release=MADE_BY,
            usage=Usage(prompt_tokens=9, completion_tokens=4),
        ),
    ]  # fmt: skip


def test_that_nothing_answers_is_said_in_a_sentence_without_a_source(runner: Any, model: Model) -> None:
    model.sentences = [DECLINED]
    assert asyncio.run(events_of(answer(runner, "a"))) == [
        STARTED, Sentence(text=DECLINED.text, source=None, status="declined"),
        Finished(
            finish_reason="stop", declined=True, model=VERSION, release=MADE_BY,
            usage=Usage(prompt_tokens=9, completion_tokens=len(DECLINED.text.split())),
        ),
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
