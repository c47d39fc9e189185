"""The answers that a process of the service has under way, over HTTP, WebSocket and the OpenAI-compatible API alike.

Each is made in a task of its own: it goes on at the pace of the model however slowly its caller reads, and it ends in order
(the runner is told to stop) where the caller's own task is cancelled from all sides, as Starlette does when a client leaves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import ExitStack, aclosing
from functools import partial
from typing import Self

from aura.errors import BusyError
from bentos.conversational_ai.figures import answer_figures
from bentos.conversational_ai.limits import ConcurrencyLimit
from bentos.conversational_ai.messages import ChatMessage, Finished, Passage, Runner, Sentence
from bentos.conversational_ai.stream import Retrieve, find_passages, generated
from bentos.conversational_ai.tool_answers import AnswerPart, ToolAnswer, no_tool
from bentos.serving.metrics import FIRST_TOKEN_SECONDS
from bentos.serving.prediction_log import PredictionLog
from bentos.serving.release_header import note_release
from bentos.serving.runner_metrics import sent_to_runner
from bentos.serving.settings import ServingSettings

_TELLING_SECONDS = 0.5
"""Time for callers to be sent the end of an answer that has been made, and for WebSockets to be closed in order."""


class RunningAnswer:
    """An answer that is being made: iterate for `Started`, sentences, `Finished`; `aclose` ends it early.

    Attributes:
        cancelled: it was ended before it was whole; its iteration then ends without `Finished`.
    """

    def __init__(self, parts: AsyncGenerator[AnswerPart, None], slot: ExitStack) -> None:
        """`slot` is closed when the answer has ended, and before its last part can be read."""
        self.cancelled = False
        self._slot = slot
        self._parts: asyncio.Queue[AnswerPart | BaseException | None] = asyncio.Queue()
        self._ended = False
        self.task = asyncio.create_task(self._make(parts))
        self.task.add_done_callback(self._end)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AnswerPart:
        """The next part; safe to cancel and to call again.

        Raises:
            AuraError: what the runner answers.
        """
        if self._ended:
            raise StopAsyncIteration
        part = await self._parts.get()
        self._ended = part is None or isinstance(part, Finished | BaseException)
        if part is None:
            raise StopAsyncIteration
        if isinstance(part, BaseException):
            raise part
        return part

    def cancel(self) -> None:
        """Begin to end it; `aclose` waits for the end too."""
        self.cancelled = self.cancelled or not self.task.done()
        self.task.cancel()

    async def aclose(self) -> None:
        self.cancel()
        await asyncio.wait({self.task})

    async def _make(self, parts: AsyncGenerator[AnswerPart, None]) -> Finished | None:
        last: Finished | None = None
        async with aclosing(parts):
            async for part in parts:
                if isinstance(part, Finished):
                    last = part
                else:
                    self._parts.put_nowait(part)
        return last

    def _end(self, task: asyncio.Task[Finished | None]) -> None:
        # A callback, because a task that is cancelled before its first step runs none of its code.
        self._slot.close()
        self._parts.put_nowait(None if task.cancelled() else task.exception() or task.result())


class Answers:
    """Begins answers, up to a limit, until the process is told to end.

    Attributes:
        ending: set when no answer is begun any more.
    """

    def __init__(
        self, runner: Runner, retrieve: Retrieve, serving: ServingSettings, predictions: PredictionLog
    ) -> None:
        self._runner, self._retrieve, self._serving, self._predictions = runner, retrieve, serving, predictions
        self._limit = ConcurrencyLimit(serving.max_waiting_answers, "answers are being generated or wait")
        self._running: set[asyncio.Task[Finished | None]] = set()
        self.ending = asyncio.Event()

    def begin(
        self,
        messages: Sequence[ChatMessage],
        passages: int,
        max_new_tokens: int | None = None,
        ask_tool: Callable[[], Awaitable[ToolAnswer]] = no_tool,
    ) -> RunningAnswer:
        """An answer to a conversation that ends with a question, from the passages that are found for it.

        Args:
            passages: passages at most.
            max_new_tokens: default: the service's.
            ask_tool: what is asked before the model is; the answer begins with what it says.

        Raises:
            BusyError: too many answers wait already, or the process is about to end.
        """
        if self.ending.is_set():
            raise BusyError("this process is about to end", hint="try again in a moment: another one takes its place")
        with ExitStack() as slot:
            slot.enter_context(self._limit.slot())
            parts = self._parts(messages, passages, max_new_tokens or self._serving.max_new_tokens, ask_tool)
            answer = RunningAnswer(parts, slot.pop_all())
        self._running.add(answer.task)
        answer.task.add_done_callback(self._running.discard)
        return answer

    async def drain(self) -> None:
        """Begin no more answers, and wait until those under way have been made and told."""
        self.ending.set()
        while self._running:
            await asyncio.wait(self._running)
        await asyncio.sleep(_TELLING_SECONDS)

    async def _parts(
        self,
        messages: Sequence[ChatMessage],
        passages: int,
        max_new_tokens: int,
        ask_tool: Callable[[], Awaitable[ToolAnswer]],
    ) -> AsyncGenerator[AnswerPart, None]:
        arrived, told = time.perf_counter(), False
        tool = await ask_tool()
        found, release = await find_passages(self._retrieve, messages, passages)
        note_release(release)
        answer = generated(self._runner, messages, found, max_new_tokens, self._serving.chat_timeout_seconds, release)
        with sent_to_runner("generate"):
            async with aclosing(tool.followed_by(self._noted(answer, found, arrived))) as parts:
                async for part in parts:
                    if isinstance(part, Sentence) and not told:
                        told = True
                        FIRST_TOKEN_SECONDS.observe(time.perf_counter() - arrived)
                    yield part

    async def _noted(
        self, answer: AsyncGenerator[AnswerPart, None], found: Sequence[Passage], arrived: float
    ) -> AsyncGenerator[AnswerPart, None]:
        """The model's answer, noted as the model ends it, whatever a tool says before."""
        async with aclosing(answer) as parts:
            async for part in parts:
                if isinstance(part, Finished):
                    figures = partial(answer_figures, found, part)
                    self._predictions.note("chat", part, time.perf_counter() - arrived, figures)
                yield part
