"""An answer as frames: what a WebSocket sends as messages and server-sent events carry as data."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from fastapi.sse import format_sse_event
from starlette.exceptions import HTTPException

from aura.errors import AuraError
from bentos.conversational_ai.answers import AnswerPart, RunningAnswer
from bentos.conversational_ai.messages import Finished, Sentence
from bentos.conversational_ai.schemas import Recorded
from bentos.serving.error_text import bounded
from bentos.serving.errors import error_detail
from bentos.serving.request_log import logger

Frame = dict[str, Any]

CANCELLED: Frame = {"type": "cancelled"}
KEEP_ALIVE = format_sse_event(comment="keep-alive")
_KEEP_ALIVE_SECONDS = 15.0
"""Silence after which a comment is sent: proxies close a connection on which nothing comes."""


class FrameWriter:
    """Turns the parts of one answer into frames `sources`, `token`... and `done`.

    Attributes:
        text: what has been told so far; the texts of the `token` frames joined.
    """

    def __init__(self) -> None:
        self.text = ""

    def frame(self, part: AnswerPart) -> Frame:
        if isinstance(part, Sentence):
            piece = f" {part.text}" if self.text else part.text
            self.text += piece
            return {"type": "token", **part.model_dump(), "text": piece}
        return {"type": "done" if isinstance(part, Finished) else "sources", **part.model_dump()}


def error_frame(error: Exception) -> Frame:
    """The frame of an error that ends an answer; it is logged here."""
    if isinstance(error, AuraError | HTTPException):
        logger.info("no answer: %s", bounded(str(error)))
    else:
        logger.error("an answer failed", exc_info=error)
    return {"type": "error", "error": error_detail(error).model_dump()}


async def server_sent_events(
    record: Callable[[str], Awaitable[Recorded]], first: AnswerPart, rest: RunningAnswer
) -> AsyncGenerator[bytes, None]:
    """The frames of an answer as server-sent events, each named by its type (HTML standard, section 9.2).

    An error is the last event: the status of the response has been sent before it.

    Args:
        record: called with the text of the answer before its end is told.
    """
    writer = FrameWriter()
    yield _event(writer.frame(first))
    async with aclosing(with_silences(rest)) as parts:
        async for part in parts:
            if part is None:
                yield KEEP_ALIVE
            elif isinstance(part, Exception):
                yield _event(error_frame(part))
            else:
                recorded = await record(writer.text) if isinstance(part, Finished) else None
                yield _event(writer.frame(part) | (recorded.model_dump(mode="json") if recorded else {}))


async def with_silences(
    answer: RunningAnswer, seconds: float = _KEEP_ALIVE_SECONDS
) -> AsyncGenerator[AnswerPart | Exception | None, None]:
    """The parts of an answer; None after each silence of `seconds`; an error as the last one."""
    while True:
        # Not asyncio.timeout: the runner's own TimeoutError would pass for a silence.
        coming = asyncio.ensure_future(answer.__anext__())
        try:
            while not (await asyncio.wait({coming}, timeout=seconds))[0]:
                yield None
        finally:
            coming.cancel()
        try:
            part = coming.result()
        except StopAsyncIteration:
            return
        except Exception as error:
            yield error
            return
        yield part


def _event(frame: Frame) -> bytes:
    return format_sse_event(data_str=json.dumps(frame, ensure_ascii=False), event=frame["type"])
