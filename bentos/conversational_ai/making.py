"""An answer of the model as an async iterator that ends the moment it is stopped or out of time.

A sentence is made in a thread, which cannot be interrupted: it is left behind, and ends when the model asks whether the answer is
still wanted.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import AsyncGenerator
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

from inference.chat.answer import AnswerSentence, AnswerStoppedError
from inference.chat.answering import AnswerStream


class Stop:
    """Why and when an answer must end before the model ends it.

    Args:
        seconds: seconds from now until its deadline.
    """

    def __init__(self, seconds: float) -> None:
        self._deadline = time.monotonic() + seconds
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Nobody waits for the answer any longer."""
        self._stopped.set()

    def wanted(self) -> bool:
        """Whether the answer may go on; any thread may ask."""
        return not self.reason

    @property
    def reason(self) -> str:
        """`stopped`, `deadline`, or empty while the answer may go on."""
        if self._stopped.is_set():
            return "stopped"
        return "deadline" if time.monotonic() > self._deadline else ""

    async def wait_for(self, work: asyncio.Future[Any]) -> None:
        """Wait until the work is done or the answer must end."""
        stopped: asyncio.Future[Any] = asyncio.ensure_future(self._stopped.wait())
        try:
            seconds = max(0.0, self._deadline - time.monotonic())
            await asyncio.wait({work, stopped}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()


async def sentences_of(answer: AnswerStream, stop: Stop, threads: Executor) -> AsyncGenerator[AnswerSentence, None]:
    """The sentences of an answer, made in `threads`, until it ends or `stop` has a reason."""
    work: Future[AnswerSentence | None] | None = None
    try:
        while stop.wanted():
            work = threads.submit(contextvars.copy_context().run, partial(next, answer, None))
            making = asyncio.wrap_future(work)
            await stop.wait_for(making)
            if not making.done():
                making.cancel()
                return
            try:
                sentence = making.result()
            except AnswerStoppedError:
                return
            if sentence is None:
                return
            yield sentence
    finally:
        if work is None:
            answer.close()
        else:  # at once, or behind the sentence that is left behind: a generator that runs cannot be closed
            work.add_done_callback(lambda _: answer.close())
