"""Runner of the conversational service: retrieval, and generation of one answer at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml
from asgi_correlation_id import correlation_id

from aura.errors import AuraError
from aura.heavy_imports import heavy_imports
from bentos.conversational_ai.limits import GenerationLock
from bentos.conversational_ai.messages import (
    Finished,
    FoundPassages,
    GenerateRequest,
    Passage,
    RetrieveRequest,
    RunnerStatus,
    Sentence,
    Started,
    Stopped,
    StopRequest,
    event_line,
)
from bentos.serving.assets import Assets
from bentos.serving.bentoml_options import runner_options
from bentos.serving.errors import Failure, answer_or_failure, failure_of
from bentos.serving.process import start_process
from bentos.serving.request_log import logger
from bentos.serving.runner_metrics import inference
from inference.chat.passages import ChatPassage, source_of

if TYPE_CHECKING:  # the service never needs torch
    from inference.chat.model import ChatModel

RUNNER_SECONDS = 600
_MARGIN_SECONDS = 30
"""Seconds between the end of the slowest answer and the timeout of BentoML's client, whose clock also runs while an answer
waits for the lock."""


@bentoml.service(name="conversational_ai_model", **runner_options(RUNNER_SECONDS))
class ChatRunner:
    """The champion adapter on its base, and the served index, in a separate process."""

    def __init__(
        self, assets: Assets | None = None, load_model: Callable[[Path, str], ChatModel] | None = None
    ) -> None:
        """BentoML passes nothing: then the assets are those of this process, and the artifact is loaded."""
        assets = assets or start_process()
        if load_model is None:
            with heavy_imports(at_start=True):
                from inference.chat.model import ChatModel

            load_model = ChatModel.load
        champion = assets.champion("chat")
        self._version = champion.version
        self._model = load_model(champion.folder, assets.serving.device)
        self._index = assets.index(texts=True)
        self._lock = GenerationLock()
        self._wanted: set[str] = set()

    @bentoml.api
    async def status(self) -> RunnerStatus:
        """Async, so that it does not wait for a search."""
        return RunnerStatus(
            model=self._version, index_version=self._index.version, degraded=self._index.degraded,
            question_tokens=self._model.question_tokens,
        )  # fmt: skip

    @bentoml.api
    def retrieve(self, request: RetrieveRequest) -> FoundPassages | Failure:
        """The k best passages for a query, best first."""
        with inference("retrieve", [request]):
            return answer_or_failure(request, self._found)

    @bentoml.api
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[bytes, None]:
        """Events: `Started`, sentences as they come to be, `Finished`; or a failure that ends them.

        What cannot be answered fails before it waits for its turn. Generation ends early when `stop` names the same answer.
        """
        correlation_id.set(request.request_id)
        self._wanted.add(request.answer_id)
        try:
            answer = self._model.answer(
                [message.model_dump() for message in request.messages],
                [
                    ChatPassage(
                        source=source_of(passage.title, passage.heading),
                        text=passage.text,
                        similarity=passage.similarity,
                        relevance=passage.score,
                    )
                    for passage in request.passages
                ],
                request.max_new_tokens,
            )
            sources = request.passages[: answer.used_passages]
            yield event_line(Started(sources=sources, dropped_messages=answer.dropped_messages))
            async with self._lock.held(RUNNER_SECONDS - _MARGIN_SECONDS - request.timeout_seconds):
                deadline = time.monotonic() + request.timeout_seconds
                cut = self._cut(request.answer_id, deadline)
                try:
                    while not cut and (sentence := await asyncio.to_thread(next, answer, None)) is not None:
                        yield event_line(Sentence(text=sentence.text, source=sentence.passage, status=sentence.status))
                        cut = self._cut(request.answer_id, deadline)
                finally:
                    await asyncio.to_thread(answer.close)
                yield event_line(
                    Finished(
                        finish_reason=cut or str(answer.finish_reason), declined=answer.declined, model=self._version
                    )
                )
        except AuraError as error:
            yield event_line(failure_of(error))
        except Exception:
            logger.exception("an answer broke off")
            raise
        else:
            logger.info("GenerateRequest answered")
        finally:
            self._wanted.discard(request.answer_id)

    @bentoml.api
    async def stop(self, request: StopRequest) -> Stopped:
        """End an answer after the sentence that is being made."""
        correlation_id.set(request.request_id)
        was_running = request.answer_id in self._wanted
        self._wanted.discard(request.answer_id)
        if was_running:
            logger.info("nobody waits for the answer any longer")
        return Stopped(was_running=was_running, model=self._version)

    def _found(self, request: RetrieveRequest) -> FoundPassages:
        index = self._index.current()
        passages = [
            Passage(
                slug=hit.slug,
                title=hit.title,
                heading=hit.heading,
                text=hit.text,
                score=hit.relevance,
                similarity=hit.similarity,
            )
            for hit in index.search_knowledge(request.query, request.k)
        ]
        return FoundPassages(passages=passages, index_version=self._index.version, model=self._version)

    def _cut(self, answer_id: str, deadline: float) -> str:
        """Why an answer must end before the model ends it, if it must."""
        if answer_id not in self._wanted:
            return "stopped"
        return "deadline" if time.monotonic() > deadline else ""
