"""Runner of the conversational service: retrieval, and answers side by side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml
from asgi_correlation_id import correlation_id

from aura.errors import AuraError, IndexNotReadyError
from aura.heavy_imports import heavy_imports
from aura.releases import Release
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
    Usage,
    event_line,
)
from bentos.serving.assets import Assets
from bentos.serving.batch_answers import answer_together
from bentos.serving.bentoml_options import named_media_types, runner_options
from bentos.serving.draining import drain_on_sigterm
from bentos.serving.errors import Failure, failure_of
from bentos.serving.following import Following, Loaded
from bentos.serving.process import start_process
from bentos.serving.request_log import logger
from bentos.serving.runner_metrics import generation, inference
from inference.chat.passages import ChatPassage, source_of
from inference.chat.smoke_test import SMOKE_TEST
from inference.smoke_test import check_loaded

if TYPE_CHECKING:  # the service never needs torch
    from inference.chat.answering import AnswerStream
    from inference.chat.model import ChatModel
    from inference.chat.openai_backend import OpenAIBackend
    from inference.retrieval.search import Index
    from inference.retrieval.search import Passage as FoundPassage

MODEL = "chat"
RUNNER_SECONDS = 600
_QUIET_CHECKS = 10
_NO_INDEX = "questions are not answered: there is no index yet"


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedChat(Loaded):
    """What questions are answered with."""

    model: ChatModel


@named_media_types
@bentoml.service(name="conversational_ai_model", **runner_options(RUNNER_SECONDS))
class ChatRunner:
    """The release's adapter on its base, and its index, in a separate process."""

    def __init__(
        self, assets: Assets | None = None, load_model: Callable[[Path, str, ChatModel | None], ChatModel] | None = None
    ) -> None:
        """BentoML passes nothing: then the assets are those of this process, and the artifact is loaded."""
        self._assets = assets or start_process()
        if load_model is None:
            with heavy_imports(at_start=True):
                from inference.chat.model import ChatModel

            load_model = ChatModel.load
        self._load_model = load_model
        self._served = Following(self._assets, MODEL, partial(self._assets.index, texts=True), self._load)
        serving = self._assets.serving
        self._threads = ThreadPoolExecutor(serving.max_waiting_answers, thread_name_prefix="answer")
        self._stops: dict[str, Stop] = {}
        self._backend = _backend(serving.openai_model)

    def _load(self, release: Release, index: Index | None, before: LoadedChat | None) -> LoadedChat:
        if before and before.has_model_of(release):
            return replace(before, release=release, index=index)
        with self._assets.champion(MODEL, release) as champion:
            # The base stays where it is; another adapter is put on it.
            model = self._load_model(champion.folder, self._assets.serving.device, before.model if before else None)
            check_loaded(SMOKE_TEST, model, champion.folder)
        return LoadedChat(release=release, model_name=MODEL, index=index, model=model)

    @bentoml.api
    async def status(self) -> RunnerStatus:
        """Async, so that it does not wait for a search."""
        served = self._served.now()
        return RunnerStatus(
            model=served.version, release=served.versions, degraded=self._served.degraded + ([] if served.index else [_NO_INDEX]),
            index_version=served.versions.versions.get("index", ""), question_tokens=served.model.question_tokens,
        )  # fmt: skip

    @bentoml.api
    def retrieve(self, requests: list[RetrieveRequest]) -> list[FoundPassages | Failure]:
        """The k best passages for each query, best first; the queries are embedded as one batch."""
        served = self._served.now()
        with inference("retrieve", requests):
            return answer_together(
                requests,
                lambda _: _index(served),
                lambda asked, _: _index(served).search_knowledge_together([(each.query, each.k) for each in asked]),
                lambda _request, _index, hits: _found(served, hits),
            )

    @bentoml.api
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[bytes, None]:
        """Events: `Started`, sentences as they come to be, `Finished`; or a failure that ends them.

        Answers are made side by side. One ends early when `stop` names it, or at its deadline.
        """
        correlation_id.set(request.request_id)
        stop = self._stops[request.answer_id] = Stop(request.timeout_seconds)
        try:
            served = self._served.of(request.release)
            answer = served.model.answer(
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
            with inference("generate", [request]), generation(served.model.token_count) as made:
                async with aclosing(sentences_of(answer, stop, self._threads)) as sentences:
                    async for sentence in sentences:
                        made.append(sentence.text)
                        yield event_line(Sentence(text=sentence.text, source=sentence.passage, status=sentence.status))
            yield event_line(
                Finished(
                    finish_reason=stop.reason or str(answer.finish_reason), declined=answer.declined, model=served.version,
                    release=served.versions, usage=None if self._backend else _usage(served.model, answer, made),
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
        served = self._served.now()
        return Stopped(was_running=stop is not None, model=served.version, release=served.versions)

    @bentoml.on_startup
    async def finish_answers_at_the_end(self) -> None:
        """Called by BentoML when the process has started."""
        drain_on_sigterm(self._all_answered, self._assets.serving.drain_seconds)

    async def _all_answered(self) -> None:
        """Wait until there has been no answer for a second: the HTTP part, which ends too, may be about to ask for one."""
        quiet = 0
        while quiet < _QUIET_CHECKS:
            await asyncio.sleep(1 / _QUIET_CHECKS)
            quiet = 0 if self._stops else quiet + 1


def _index(served: LoadedChat) -> Index:
    if served.index is None:
        raise IndexNotReadyError("no index is served yet")
    return served.index


def _found(served: LoadedChat, hits: Sequence[FoundPassage]) -> FoundPassages:
    passages = [
        Passage(
            slug=hit.slug,
            title=hit.title,
            heading=hit.heading,
            text=hit.text,
            score=hit.relevance,
            similarity=hit.similarity,
        )
        for hit in hits
    ]
    return FoundPassages(
        passages=passages, index_version=str(_index(served).version), model=served.version, release=served.versions
    )


def _usage(model: ChatModel, answer: AnswerStream, sentences: Sequence[str]) -> Usage:
    return Usage(prompt_tokens=answer.prompt_tokens, completion_tokens=model.token_count(" ".join(sentences)))


def _backend(model: str | None) -> OpenAIBackend | None:
    if model is None:
        return None
    from inference.chat.openai_backend import OpenAIBackend

    return OpenAIBackend(model)
