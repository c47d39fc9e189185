"""Endpoints of the conversational service: chat over HTTP and WebSocket, and retrieval alone.

BentoML's `timeout` guards only the first byte and its `max_concurrency` counts open WebSockets, so this service has limits of
its own: conversations at once, idle time, answers at once, seconds per answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import bentoml
from fastapi import Request, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from aura.errors import AuraError, BusyError, InvalidRequestError
from bentos.conversational_ai.limits import ConcurrencyLimit
from bentos.conversational_ai.messages import ChatMessage, Finished, RetrieveRequest, Runner, Sentence, Started
from bentos.conversational_ai.model import RUNNER_SECONDS, ChatRunner
from bentos.conversational_ai.schemas import (
    AssistantMessage,
    ChatAnswer,
    ChatRequest,
    Health,
    RagAnswer,
    RagRequest,
    SocketRequest,
)
from bentos.conversational_ai.stream import find_passages, generated
from bentos.serving.app import answer_unknown_paths, apply_settings, make_app
from bentos.serving.assets import Assets
from bentos.serving.bentoml_options import service_options
from bentos.serving.disconnect import while_connected
from bentos.serving.docs_page import root_page
from bentos.serving.error_text import bounded, validation_text
from bentos.serving.errors import BodyTooLargeError, NotReadyBody, error_detail, raise_failure
from bentos.serving.health import Readiness
from bentos.serving.metrics import metrics_app
from bentos.serving.process import HttpPart, start_process
from bentos.serving.request_log import logger

PATH = "/api/v1/conversational-ai"
app = make_app("Aura conversational AI", "Answers questions about clothes, grounded in a knowledge base.")

_REMEMBERED_MESSAGES = 21
"""Odd, so that what is kept begins with a question."""
_GOING_AWAY, _TRY_AGAIN_LATER = 1001, 1013


@bentoml.service(name="conversational_ai", **service_options(RUNNER_SECONDS))
@bentoml.asgi_app(app, path=PATH)
@bentoml.asgi_app(metrics_app, path="/")
@bentoml.asgi_app(root_page(PATH), path="/")
class ConversationalAI(HttpPart):
    """Endpoints under `/api/v1/conversational-ai`."""

    runner = bentoml.depends(ChatRunner)

    def __init__(self, assets: Assets | None = None, runner: Runner | None = None) -> None:
        """BentoML passes nothing: then the assets and the runner are those of this process."""
        self._assets = assets or start_process()
        self._runner: Runner = runner or self.runner.to_async
        self._readiness = Readiness(lambda: self._runner.status())
        serving = self._assets.serving
        apply_settings(app, serving)
        self._conversations = ConcurrencyLimit(serving.max_conversations, "conversations are open")
        self._answers = ConcurrencyLimit(serving.max_waiting_answers, "answers are being generated or wait")

    @app.post("/chat")
    async def chat(self, request: ChatRequest, connection: Request) -> ChatAnswer:
        """One answer, with the passages that the model had before it; stopped when the caller disconnects."""
        return await while_connected(connection, self._whole_answer(request))

    @app.post("/rag/query")
    async def rag_query(self, request: RagRequest) -> RagAnswer:
        """Passages of the knowledge base for a question, best first."""
        if not request.query:
            raise InvalidRequestError("query is blank", hint="ask a question in words")
        found = raise_failure(await self._runner.retrieve(request=RetrieveRequest(query=request.query, k=request.k)))
        return RagAnswer(passages=found.passages, index_version=found.index_version, release=found.release)

    @app.get("/health", responses={503: {"model": NotReadyBody}})
    async def health(self) -> Health:
        """Ready, or degraded and why; at once."""
        status = await self._readiness.status()
        return Health(
            profile=self._assets.profile, model=status.model, release=status.release, reasons=status.degraded,
            index_version=status.index_version, question_tokens=status.question_tokens,
        )  # fmt: skip

    @app.websocket("/ws/chat")
    async def socket(self, websocket: WebSocket) -> None:
        """A conversation: the client sends `{"content": ...}`; frames `sources`, `token`..., `done` or `error` come back."""
        await websocket.accept()
        try:
            with self._conversations.slot():
                await self._converse(websocket)
        except BusyError as full:
            await _send_error(websocket, full)
            await websocket.close(_TRY_AGAIN_LATER)
        except WebSocketDisconnect:
            logger.info("a client left its conversation")

    async def _converse(self, websocket: WebSocket) -> None:
        messages: list[ChatMessage] = []
        while True:
            try:
                frame = await asyncio.wait_for(_text_frame(websocket), self._assets.serving.idle_timeout_seconds)
            except TimeoutError:
                await websocket.close(_GOING_AWAY, "idle")
                return
            try:
                question = _question(frame, self._assets.serving.max_json_bytes)
            except (InvalidRequestError, BodyTooLargeError) as error:
                await _send_error(websocket, error)
                continue
            messages = [*messages, ChatMessage(role="user", content=question.content)][-_REMEMBERED_MESSAGES:]
            try:
                answer = await self._stream(websocket, messages, question.passages)
            except WebSocketDisconnect:
                raise
            except Exception as error:  # a failed answer must not end the conversation; the frame carries the error
                if isinstance(error, AuraError):
                    logger.info("no answer: %s", bounded(error.message))
                else:
                    logger.exception("an answer failed")
                answer = ""
                await _send_error(websocket, error)
            if answer:
                messages.append(ChatMessage(role="assistant", content=answer))
            else:
                messages.pop()

    async def _whole_answer(self, request: ChatRequest) -> ChatAnswer:
        sentences: list[Sentence] = []
        started: Started | None = None
        finished: Finished | None = None
        answer = self._answer(request.conversation(), request.passages, request.max_new_tokens)
        async with aclosing(answer) as events:
            async for event in events:
                if isinstance(event, Sentence):
                    sentences.append(event)
                elif isinstance(event, Finished):
                    finished = event
                else:
                    started = event
        assert started is not None, "an answer begins with Started or an error"
        assert finished is not None, "an answer ends with Finished or an error"
        return ChatAnswer(
            message=AssistantMessage(content=" ".join(sentence.text for sentence in sentences)), sentences=sentences,
            declined=finished.declined, sources=started.sources, dropped_messages=started.dropped_messages,
            finish_reason=finished.finish_reason, model=finished.model, release=finished.release,
        )  # fmt: skip

    async def _stream(self, websocket: WebSocket, messages: Sequence[ChatMessage], passages: int) -> str:
        """Send an answer as frames; returns its whole text, which may be empty."""
        text = ""
        finished: Finished | None = None
        async with aclosing(self._answer(messages, passages, None)) as events:
            async for event in events:
                if isinstance(event, Sentence):
                    piece = f" {event.text}" if text else event.text
                    text += piece
                    await websocket.send_json({"type": "token", **event.model_dump(), "text": piece})
                elif isinstance(event, Finished):
                    finished = event  # sent when the slot of this answer is free again
                else:
                    await websocket.send_json({"type": "sources", **event.model_dump()})
        assert finished is not None, "an answer ends with Finished or an error"
        await websocket.send_json({"type": "done", **finished.model_dump()})
        return text

    async def _answer(
        self, messages: Sequence[ChatMessage], passages: int, max_new_tokens: int | None
    ) -> AsyncGenerator[Started | Sentence | Finished, None]:
        """Events of `generated`, from the passages that are found for the question.

        Raises:
            BusyError: too many answers wait already.
        """
        serving = self._assets.serving
        with self._answers.slot():
            found, release = await find_passages(self._runner, messages, passages)
            limit = max_new_tokens or serving.max_new_tokens
            answer = generated(self._runner, messages, found, limit, serving.chat_timeout_seconds, release)
            async with aclosing(answer) as events:
                async for event in events:
                    yield event


async def _text_frame(websocket: WebSocket) -> str:
    """The next frame as text; a binary frame gives an empty text, which is refused."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", _GOING_AWAY))
    return message.get("text") or ""


def _question(frame: str, limit_bytes: int) -> SocketRequest:
    """The question in a frame.

    Raises:
        BodyTooLargeError: the frame is longer than a request may be.
        InvalidRequestError: it holds no question.
    """
    if len(frame) > limit_bytes:
        raise BodyTooLargeError(limit_bytes, str(len(frame)))
    try:
        return SocketRequest.model_validate_json(frame)
    except ValidationError as error:
        problems = validation_text(error.errors(include_url=False, include_input=False), "frame")
        raise InvalidRequestError(problems, hint='send {"content": "your question"}') from None


async def _send_error(websocket: WebSocket, error: Exception) -> None:
    await websocket.send_json({"type": "error", "error": error_detail(error).model_dump()})


answer_unknown_paths(app)
