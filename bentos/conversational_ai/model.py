"""Runner of the conversational service: retrieval, and generation of one answer at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import bentoml
from asgi_correlation_id import correlation_id

from aura.errors import AuraError, IndexNotReadyError
from aura.heavy_imports import heavy_imports
from aura.releases import Release
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
from bentos.serving.following import Following, Loaded
from bentos.serving.process import start_process
from bentos.serving.request_log import logger
from inference.chat.passages import ChatPassage, source_of
from inference.chat.smoke_test import SMOKE_TEST
from inference.smoke_test import check_loaded

if TYPE_CHECKING:  # the service never needs torch
    from inference.chat.model import ChatModel

MODEL = "chat"
RUNNER_SECONDS = 600
_NO_INDEX = "questions are not answered: there is no index yet"
_MARGIN_SECONDS = 30
"""Seconds between the end of the slowest answer and the timeout of BentoML's client, whose clock also runs while an answer
waits for the lock."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LoadedChat(Loaded):
    """What questions are answered with."""

    model: ChatModel


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
        self._served = Following(self._assets, MODEL, self._load)
        self._lock = GenerationLock()
        self._wanted: set[str] = set()

    def _load(self, release: Release, before: LoadedChat | None) -> LoadedChat:
        index = before.index if before and before.has_index_of(release) else self._assets.index(release, texts=True)
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
    def retrieve(self, request: RetrieveRequest) -> FoundPassages | Failure:
        """The k best passages for a query, best first."""
        return answer_or_failure(request, self._found, self._served.now())

    @bentoml.api
    async def generate(self, request: GenerateRequest) -> AsyncGenerator[bytes, None]:
        """Events: `Started`, sentences as they come to be, `Finished`; or a failure that ends them.

        What cannot be answered fails before it waits for its turn. Generation ends early when `stop` names the same answer.
        """
        correlation_id.set(request.request_id)
        self._wanted.add(request.answer_id)
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
                        finish_reason=cut or str(answer.finish_reason),
                        declined=answer.declined,
                        model=served.version,
                        release=served.versions,
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
        served = self._served.now()
        return Stopped(was_running=was_running, model=served.version, release=served.versions)

    def _found(self, request: RetrieveRequest, served: LoadedChat) -> FoundPassages:
        if served.index is None:
            raise IndexNotReadyError("no index is served yet")
        passages = [
            Passage(
                slug=hit.slug,
                title=hit.title,
                heading=hit.heading,
                text=hit.text,
                score=hit.relevance,
                similarity=hit.similarity,
            )
            for hit in served.index.search_knowledge(request.query, request.k)
        ]
        return FoundPassages(
            passages=passages, index_version=str(served.index.version), model=served.version, release=served.versions
        )

    def _cut(self, answer_id: str, deadline: float) -> str:
        """Why an answer must end before the model ends it, if it must."""
        if answer_id not in self._wanted:
            return "stopped"
        return "deadline" if time.monotonic() > deadline else ""
