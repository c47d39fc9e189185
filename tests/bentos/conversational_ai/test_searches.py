"""Questions are searched for together, and wait for one long text at most."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from bentos.conversational_ai.messages import FoundPassages, RetrieveRequest
from bentos.conversational_ai.searches import LONG_CHARS, Searches
from bentos.serving.errors import Failure
from tests.bentos.conversational_ai.stub_runner import Runner

TEXT = "x" * (LONG_CHARS + 1)


class SlowRunner(Runner):
    """Notes what it is asked, and answers when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.may_answer = asyncio.Event()

    async def retrieve(self, requests: list[RetrieveRequest]) -> list[FoundPassages | Failure]:
        self.batches.append([request.query for request in requests])
        await self.may_answer.wait()
        return await super().retrieve(requests)


def test_questions_go_together_and_texts_one_by_one_beside_them() -> None:
    async def ask(queries: Sequence[str]) -> tuple[SlowRunner, list[FoundPassages]]:
        runner = SlowRunner()
        searches = Searches(runner, 60.0)
        asked = [asyncio.create_task(searches.answer(RetrieveRequest(query=query, k=1))) for query in queries]
        await asyncio.sleep(0.01)
        assert runner.batches == [[TEXT], ["navy", "wool"]]
        runner.may_answer.set()
        return runner, await asyncio.gather(*asked)

    queries = [TEXT, "navy", f"{TEXT}y", "wool", f"{TEXT}z"]
    runner, found = asyncio.run(ask(queries))
    assert runner.batches[2:] == [[f"{TEXT}y"], [f"{TEXT}z"]]
    assert [each.passages[0].text for each in found] == queries
