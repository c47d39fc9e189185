"""Scores what several answers wait for in shared batches.

A batch is made of what waits when the model becomes free (iteration-level scheduling, Orca, OSDI 2022, section 4.1, with whole
prompts for iterations): an answer joins the next batch instead of waiting until all before it are done, and one that nobody
wants any longer drops out.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future

from inference.chat.answer import AnswerStoppedError, Wanted, always
from inference.chat.prompt import Example
from inference.chat.shared_work import SharedWork

Score = Callable[[Sequence[Example], int], Sequence[float]]
"""Examples, and the number of passes that share the processor, to the nats of each one's answer, in their order."""


class _Waiting:
    def __init__(self, examples: Sequence[Example], wanted: Wanted) -> None:
        self.examples, self.wanted = examples, wanted
        self.nats: Future[list[float]] = Future()
        self.taken = False


class SharedScoring:
    """Scores examples for threads that ask at the same time.

    Args:
        score: uses the model; is called by as many threads at a time as there may be passes.
        most_examples: examples of several answers in one batch at most; those of one answer stay together, however many.
        passes: batches at a time.
    """

    def __init__(self, score: Score, most_examples: int, passes: int = 1) -> None:
        self._score, self._most, self._passes = score, most_examples, passes
        self._waiting: deque[_Waiting] = deque()
        self._adding = threading.Lock()
        self._asking = 0
        self._work = SharedWork(passes)

    def nats(self, examples: Sequence[Example], wanted: Wanted = always) -> list[float]:
        """What `score` gives for the examples.

        Raises:
            AnswerStoppedError: the answer was no longer wanted before its turn came.
        """
        waiting = _Waiting(examples, wanted)
        with self._adding:
            self._waiting.append(waiting)
            self._asking += 1
        try:
            self._work.until(waiting.nats.done, self._score_next, lambda: not waiting.taken)
        finally:
            with self._adding:
                self._asking -= 1
        return waiting.nats.result()

    def _score_next(self) -> None:
        batch = self._next_batch()
        examples = [example for waiting in batch for example in waiting.examples]
        try:
            nats = iter(self._score(examples, min(self._passes, self._asking)) if batch else ())
            for waiting in batch:
                waiting.nats.set_result([next(nats) for _ in waiting.examples])
        except BaseException as error:  # of the thread that happens to work, but of all who wait
            for waiting in batch:
                if not waiting.nats.done():
                    waiting.nats.set_exception(error)

    def _next_batch(self) -> list[_Waiting]:
        """Those whose turn it is, first come first served."""
        batch: list[_Waiting] = []
        room = self._most
        with self._adding:
            while self._waiting and (not batch or len(self._waiting[0].examples) <= room):
                first = self._waiting.popleft()
                first.taken = True
                if first.wanted():
                    batch.append(first)
                    room -= len(first.examples)
                else:
                    first.nats.set_exception(AnswerStoppedError())
        return batch
