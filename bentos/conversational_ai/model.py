"""Runner of the conversational service: retrieval, and answers side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml
from asgi_correlation_id import correlation_id

from aura.errors import AuraError
from aura.heavy_imports import heavy_imports
from bentos.conversational_ai.making import Stop, sentences_of
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
from bentos.serving.draining import drain_on_sigterm
from bentos.serving.errors import Failure, answer_or_failure, failure_of
from bentos.serving.process import start_process
from bentos.serving.request_log import logger
from inference.chat.passages import ChatPassage, source_of

if TYPE_CHECKING:  # the service never needs torch
    from inference.chat.model import ChatModel
    from inference.chat.openai_backend import OpenAIBackend

RUNNER_SECONDS = 600
_QUIET_CHECKS = 10


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
        self._threads = ThreadPoolExecutor(assets.serving.max_waiting_answers, thread_name_prefix="answer")
        self._stops: dict[str, Stop] = {}
        self._backend = _backend(assets.serving.openai_model)
        self._drain_seconds = assets.serving.drain_seconds

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
        return answer_or_failure(request, self._found)

    @bentoml.api
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[bytes, None]:
        """Events: `Started`, sentences as they come to be, `Finished`; or a failure that ends them.

        Answers are made side by side. One ends early when `stop` names it, or at its deadline.
        """
        correlation_id.set(request.request_id)
        stop = self._stops[request.answer_id] = Stop(request.timeout_seconds)
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
                stop.wanted,
                self._backend,
            )
            sources = request.passages[: answer.used_passages]
            yield event_line(Started(sources=sources, dropped_messages=answer.dropped_messages))
            async with aclosing(sentences_of(answer, stop, self._threads)) as sentences:
                async for sentence in sentences:
                    yield event_line(Sentence(text=sentence.text, source=sentence.passage, status=sentence.status))
            yield event_line(
                Finished(
                    finish_reason=stop.reason or str(answer.finish_reason), declined=answer.declined, model=self._version,
                    writer=self._backend.model if self._backend else None,
                )
            )  # fmt: skip
        except AuraError as error:
            yield event_line(failure_of(error))
        except Exception:
            logger.exception("an answer broke off")
            raise
        else:
            logger.info("GenerateRequest answered")
        finally:
            stop.stop()
            del self._stops[request.answer_id]

    @bentoml.api
    async def stop(self, request: StopRequest) -> Stopped:
        """End an answer at once; a sentence that is being made is given up."""
        correlation_id.set(request.request_id)
        stop = self._stops.get(request.answer_id)
        if stop is not None:
            stop.stop()
            logger.info("nobody waits for the answer any longer")
        return Stopped(was_running=stop is not None, model=self._version)

    @bentoml.on_startup
    async def finish_answers_at_the_end(self) -> None:
        """Called by BentoML when the process has started."""
        drain_on_sigterm(self._all_answered, self._drain_seconds)

    async def _all_answered(self) -> None:
        """Wait until there has been no answer for a second: the HTTP part, which ends too, may be about to ask for one."""
        quiet = 0
        while quiet < _QUIET_CHECKS:
            await asyncio.sleep(1 / _QUIET_CHECKS)
            quiet = 0 if self._stops else quiet + 1

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


def _backend(model: str | None) -> OpenAIBackend | None:
    if model is None:
        return None
    from inference.chat.openai_backend import OpenAIBackend

    return OpenAIBackend(model)
