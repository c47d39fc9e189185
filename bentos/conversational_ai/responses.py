"""An answer over HTTP: whole, or as a stream that begins when the answer does."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from bentos.conversational_ai.answers import AnswerPart, RunningAnswer
from bentos.conversational_ai.messages import Finished, Sentence, Started
from bentos.conversational_ai.schemas import AssistantMessage, ChatAnswer, Recorded
from bentos.serving.disconnect import while_connected

_STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}
"""The second tells nginx to pass each event on at once."""


async def not_recorded(_text: str) -> Recorded:
    """What becomes of an answer that nobody wants to go on with."""
    return Recorded()


async def whole_answer(
    answer: RunningAnswer, record: Callable[[str], Awaitable[Recorded]] = not_recorded
) -> ChatAnswer:
    """All of an answer; it is ended when this is cancelled.

    Args:
        record: called with its text.

    Raises:
        AuraError: what the runner answers.
    """
    sentences: list[Sentence] = []
    started: Started | None = None
    finished: Finished | None = None
    async with aclosing(answer):
        async for part in answer:
            if isinstance(part, Sentence):
                sentences.append(part)
            elif isinstance(part, Finished):
                finished = part
            else:
                started = part
    assert started is not None, "an answer begins with Started or an error"
    assert finished is not None, "an answer ends with Finished or an error"
    text = " ".join(sentence.text for sentence in sentences)
    recorded = await record(text)
    return ChatAnswer(
        message=AssistantMessage(content=text), sentences=sentences,
        declined=finished.declined, tools=started.tools, sources=started.sources, dropped_messages=started.dropped_messages,
        finish_reason=finished.finish_reason, model=finished.model, writer=finished.writer,
        release=finished.release, usage=finished.usage, stored=recorded.stored,
        conversation=recorded.conversation, notes=[*started.notes, *recorded.notes],
    )  # fmt: skip


async def event_stream(
    connection: Request,
    answer: RunningAnswer,
    events: Callable[[AnswerPart, RunningAnswer], AsyncGenerator[bytes, None]],
) -> StreamingResponse:
    """Response that streams an answer as server-sent events; the answer ends when the caller disconnects.

    Args:
        events: encodes the first part and those that follow.

    Raises:
        AuraError: what the runner answers before the answer begins, when the status can still say so.
    """
    try:
        first = await while_connected(connection, anext(answer))
    except BaseException:
        await answer.aclose()
        raise
    return _AnswerStream(answer, events(first, answer))


class _AnswerStream(StreamingResponse):
    """Ends its answer however the response ends, also before its first byte."""

    def __init__(self, answer: RunningAnswer, events: AsyncGenerator[bytes, None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=_STREAM_HEADERS)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.aclose()
