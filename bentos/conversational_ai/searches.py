"""Searches for several callers: short questions together, long texts one by one beside them.

The runner's time goes to the tokens that its encoder reads. A batch is answered as a whole, so that a question would wait for all
the pages that were pasted into the box of somebody else.
"""

from __future__ import annotations

from bentos.conversational_ai.messages import MAX_SEARCHES, FoundPassages, RetrieveRequest, Runner
from bentos.serving.batching import Batcher

LONG_CHARS = 512
"""A longer query is a text: a question has a tenth of it, and the chat asks with the two before it at most."""


class Searches:
    """Sends searches to the runner.

    Args:
        seconds: time that a search has from its arrival here to its answer.
    """

    def __init__(self, runner: Runner, seconds: float) -> None:
        def batcher(max_batch: int) -> Batcher[RetrieveRequest, FoundPassages]:
            return Batcher(lambda requests: runner.retrieve(requests=requests), max_batch=max_batch, seconds=seconds)

        self._questions, self._texts = batcher(MAX_SEARCHES), batcher(1)

    async def answer(self, request: RetrieveRequest) -> FoundPassages:
        """What is found.

        Raises:
            AuraError: see `Batcher.answer`.
        """
        return await (self._texts if len(request.query) > LONG_CHARS else self._questions).answer(request)
