"""Model part: retrieval and generation, in a process of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

import bentoml

from aura.errors import AuraError
from bentos.serving.hop import as_answer
from bentos.serving.places import places

_END = object()


@bentoml.service(name="conversational_ai_model", workers=1, traffic={"timeout": 600})
class Conversationalist:
    """The champion adapter on its base, with the served knowledge index.

    One answer is generated at a time; further ones wait for their turn, so that each is as quick as the machine allows.
    """

    def __init__(self) -> None:
        # Imported here: the API part never needs torch.
        from inference.chat.model import ChatModel
        from inference.retrieval.search import Index

        self._champion = places().champion("chat")
        self._model = ChatModel.load(self._champion.folder, device=places().serving.device)
        self._index = Index.open(places().index)
        self._turn: asyncio.Lock | None = None

    @bentoml.api
    def about(self) -> dict[str, Any]:
        """Versions of the champion and of the index."""
        return {"model": self._champion.as_dict(), "index_version": str(self._index.version)}

    @bentoml.api
    def retrieve(self, query: str, k: int) -> dict[str, Any]:
        """`passages`: the k best for a query, best first; or `error`."""
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
        self, messages: list[dict[str, str]], passages: list[str], max_new_tokens: int, seconds: float
    ) -> AsyncGenerator[str, None]:
        """JSON lines: `{"text": ...}` as they are generated, then `{"finish_reason": ...}`; or `{"error": ...}` alone.

        Generation stops when the caller goes away, and is cut after `seconds` (waiting for the turn not counted).
        """
        self._turn = self._turn or asyncio.Lock()
        async with self._turn:
            deadline = time.monotonic() + seconds
            try:
                pieces = self._model.stream(messages, passages=passages, max_new_tokens=max_new_tokens)
            except AuraError as error:
                yield json.dumps(as_answer(error)) + "\n"
                return
            cut = False
            try:
                while not cut and (piece := await asyncio.to_thread(next, pieces, _END)) is not _END:
                    yield json.dumps({"text": piece}) + "\n"
                    cut = time.monotonic() > deadline
            finally:
                await asyncio.to_thread(pieces.close)
            yield json.dumps({"finish_reason": "deadline" if cut else pieces.finish_reason}) + "\n"
