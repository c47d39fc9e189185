"""Requests of several callers as one batch of the runner: whatever waits when the runner is free, at most so many.

BentoML's own batching (CORK) learns how long to wait for further requests, and holds back the single one too: measured with one
caller, a photo took nine times as long as its detection. Here nobody waits while the runner is free. The batch is made in the
service, so that the message to the runner, which costs as much as some detections, is shared by all of the batch. What has not
been sent when its caller leaves, or when its time is over, costs nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from typing import Generic, TypeVar

from bentos.serving.errors import Failure, OverloadedError, raise_failure
from bentos.serving.messages import RunnerRequest

RequestType = TypeVar("RequestType", bound=RunnerRequest)
AnswerType = TypeVar("AnswerType")


class Batcher(Generic[RequestType, AnswerType]):
    """Sends requests to one method of a runner.

    Args:
        send: answers a batch, one answer or failure per request, in their order.
        max_batch: requests per batch.
        seconds: time that a request has from its arrival here to its answer.
        in_flight: batches that are sent before the first is answered; with two, the runner finds the next one when it is free.
    """

    def __init__(
        self,
        send: Callable[[list[RequestType]], Awaitable[Sequence[AnswerType | Failure]]],
        *,
        max_batch: int,
        seconds: float,
        in_flight: int = 1,
    ) -> None:
        self._send = send
        self._max_batch = max_batch
        self._seconds = seconds
        self._free = in_flight
        self._waiting: dict[asyncio.Future[AnswerType | Failure], tuple[RequestType, float]] = {}
        self._sending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Requests that wait for a batch."""
        return len(self._waiting)

    async def answer(self, request: RequestType) -> AnswerType:
        """The answer to one request.

        Raises:
            AuraError: the runner's failure; or `OverloadedError`, there was no answer in time.
            Exception: what `send` raised for the whole batch.
        """
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[AnswerType | Failure] = loop.create_future()
        self._waiting[answered] = request, loop.time() + self._seconds
        self._send_next()
        try:
            async with asyncio.timeout(self._seconds):
                return raise_failure(await answered)
        except TimeoutError:
            raise OverloadedError from None
        finally:
            self._waiting.pop(answered, None)

    def _send_next(self) -> None:
        if self._free and self._waiting:
            self._free -= 1
            # A task, so that requests that arrive in the same turn of the loop are sent together.
            task = asyncio.create_task(self._send_while_any_wait())
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _send_while_any_wait(self) -> None:
        try:
            while self._waiting:
                chosen = list(islice(self._waiting, self._max_batch))
                await self._send_batch({answered: self._waiting.pop(answered) for answered in chosen})
        finally:
            self._free += 1

    async def _send_batch(
        self, batch: Mapping[asyncio.Future[AnswerType | Failure], tuple[RequestType, float]]
    ) -> None:
        now = asyncio.get_running_loop().time()
        requests = [request.model_copy(update={"seconds_left": due - now}) for request, due in batch.values()]
        try:
            for answered, answer in zip(batch, await self._send(requests), strict=True):
                if not answered.done():  # else its caller has gone
                    answered.set_result(answer)
        except Exception as error:
            for answered in batch:
                if not answered.done():
                    answered.set_exception(error)
