"""Model part: retrieval and generation, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import bentoml

from aura.errors import AuraError
from aura.supervision import die_with_parent
from bentos.conversational_ai.turns import Turn
from bentos.serving.hop import as_answer
from bentos.serving.index import follow_release
from bentos.serving.parts import model_part
from bentos.serving.places import places

MODEL_PART_SECONDS = 600
_MARGIN_SECONDS = 30
"""An answer must end so long before BentoML's client gives it up; its clock runs while the answer waits for its turn too."""
_END = object()


@bentoml.service(name="conversational_ai_model", **model_part(MODEL_PART_SECONDS))
class Conversationalist:
    """The champion adapter on its base, with the served knowledge index. One answer is generated at a time."""

    def __init__(self) -> None:
        die_with_parent()
        # Imported here: the API part never needs torch.
        from inference.chat.model import ChatModel
        from inference.retrieval.search import Index

        self._champion = places().champion("chat")
        self._model = ChatModel.load(self._champion.folder, device=places().serving.device)
        self._index = Index.open(places().index)
        self._turn = Turn()
        self._wanted: set[str] = set()

    @bentoml.api
    async def about(self) -> dict[str, Any]:
        """Versions of the champion and of the index; async, so that it does not wait for a search."""
        return {"model": self._champion.as_dict(), "index_version": str(self._index.version)}

    @bentoml.api
    def retrieve(self, query: str, k: int) -> dict[str, Any]:
        """`passages`: the k best for a query, best first; or `error`."""
        follow_release(self._index)
        try:
            found = self._index.search_knowledge(query, k)
        except AuraError as error:
            return as_answer(error)
        return {
            "passages": [
                {"slug": one.slug, "title": one.title, "heading": one.heading, "text": one.text, "score": one.relevance}
                for one in found
            ]
        }

    @bentoml.api
    async def generate(
        self, answer_id: str, messages: list[dict[str, str]], passages: list[str], max_new_tokens: int, seconds: float
    ) -> AsyncGenerator[str, None]:
        """JSON lines: `{"text": ...}` as they are generated, then `{"finish_reason": ...}`; or `{"error": ...}` alone.

        Generation ends early when `stop` is called with the same `answer_id`, and is cut after `seconds` (waiting for
        the turn not counted).
        """
        patience = MODEL_PART_SECONDS - _MARGIN_SECONDS - seconds
        self._wanted.add(answer_id)
        try:
            async with self._turn.taken(patience):
                deadline = time.monotonic() + seconds
                pieces = self._model.stream(messages, passages=passages, max_new_tokens=max_new_tokens)
                cut = self._cut(answer_id, deadline)
                try:
                    while not cut and (piece := await asyncio.to_thread(next, pieces, _END)) is not _END:
                        yield json.dumps({"text": piece}) + "\n"
                        cut = self._cut(answer_id, deadline)
                finally:
                    await asyncio.to_thread(pieces.close)
                yield json.dumps({"finish_reason": cut or pieces.finish_reason}) + "\n"
        except AuraError as error:
            yield json.dumps(as_answer(error)) + "\n"
        finally:
            self._wanted.discard(answer_id)

    @bentoml.api
    async def stop(self, answer_id: str) -> bool:
        """End an answer after the piece that is being made; False when it has ended already."""
        was_wanted = answer_id in self._wanted
        self._wanted.discard(answer_id)
        return was_wanted

    def _cut(self, answer_id: str, deadline: float) -> str:
        """Why an answer must end before the model ends it, if it must."""
        if answer_id not in self._wanted:
            return "stopped"
        return "deadline" if time.monotonic() > deadline else ""
