"""API part: chat over HTTP and WebSocket, and retrieval alone.

BentoML's `timeout` guards only the first byte and its `max_concurrency` counts open WebSockets, so this part has limits of
its own: conversations at once, idle time, answers at once, seconds per answer.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import bentoml
from fastapi import Request, WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from aura.errors import AuraError, BusyError, InvalidRequestError
from aura.supervision import die_with_parent
from bentos.conversational_ai.answers import find_sources, generated
from bentos.conversational_ai.model import MODEL_PART_SECONDS, Conversationalist
from bentos.conversational_ai.schemas import (
    AssistantMessage,
    ChatAnswer,
    ChatRequest,
    Health,
    RagAnswer,
    RagRequest,
    SocketRequest,
    Source,
)
from bentos.conversational_ai.turns import Admission
from bentos.serving.api import answer_unknown_paths, make_app
from bentos.serving.callers import while_connected
from bentos.serving.error_body import error_detail
from bentos.serving.hop import raise_error_of
from bentos.serving.parts import api_part
from bentos.serving.places import places

logger = logging.getLogger("aura.services")

app = make_app("Aura conversational AI", "Answers questions about clothes, grounded in a knowledge base.")

_REMEMBERED_MESSAGES = 21
"""Odd, so that what is kept begins with a question."""
_GOING_AWAY, _TRY_AGAIN_LATER = 1001, 1013


@bentoml.service(name="conversational_ai", **api_part(MODEL_PART_SECONDS))
@bentoml.asgi_app(app, path="/api/v1/conversational-ai")
class ConversationalAI:
    """Endpoints under `/api/v1/conversational-ai`."""

    model = bentoml.depends(Conversationalist)

    def __init__(self) -> None:
        die_with_parent()
        serving = places().serving
        self._conversations = Admission(serving.max_conversations, "conversations are open")
        self._answers = Admission(serving.max_waiting_answers, "answers are being generated or wait")

    @app.post("/chat")
    async def chat(self, request: ChatRequest, connection: Request) -> ChatAnswer:
        """One answer, with the passages that it may have used; given up when the caller goes away."""
        return await while_connected(connection, self._whole_answer(request))

    @app.post("/rag/query")
    async def rag_query(self, request: RagRequest) -> RagAnswer:
        """Passages of the knowledge base for a question, best first."""
        if not request.query.strip():
            raise InvalidRequestError("query is blank", hint="ask a question in words")
        answer = await self.model.to_async.retrieve(query=request.query, k=request.k)
        raise_error_of(answer)
        about = await self.model.to_async.about()
        return RagAnswer(passages=[Source(**one) for one in answer["passages"]], index_version=about["index_version"])

    @app.get("/health")
    async def health(self) -> Health:
        """Answers when the model part does."""
        return Health(profile=places().profile, **await self.model.to_async.about())

    @app.websocket("/ws/chat")
    async def socket(self, websocket: WebSocket) -> None:
        """A conversation: the client sends `{"content": ...}`; frames `sources`, `token`..., `done` or `error` come back."""
        await websocket.accept()
        try:
            with self._conversations.place():
                await self._converse(websocket)
        except BusyError as full:
            await _send_error(websocket, full)
            await websocket.close(_TRY_AGAIN_LATER)
        except WebSocketDisconnect:
            logger.info("a client left its conversation")

    async def _converse(self, websocket: WebSocket) -> None:
        messages: list[dict[str, str]] = []
        while True:
            try:
                frame = await asyncio.wait_for(_text_frame(websocket), places().serving.idle_timeout_seconds)
            except TimeoutError:
                await websocket.close(_GOING_AWAY, "idle")
                return
            try:
                question = SocketRequest.model_validate_json(frame)
            except ValidationError as error:
                problems = "; ".join(
                    f"{one['loc'][0] if one['loc'] else 'frame'}: {one['msg']}" for one in error.errors()
                )
                await _send_error(websocket, InvalidRequestError(problems, hint='send {"content": "your question"}'))
                continue
            messages = [*messages, {"role": "user", "content": question.content}][-_REMEMBERED_MESSAGES:]
            try:
                answer = await self._stream(websocket, messages, question.passages)
            except WebSocketDisconnect:
                raise
            except Exception as error:  # one failed answer must not end the conversation; the frame says what happened
                if isinstance(error, AuraError):
                    logger.info("no answer: %s", error.message)
                else:
                    logger.exception("an answer failed")
                answer = ""
                await _send_error(websocket, error)
            if answer:
                messages.append({"role": "assistant", "content": answer})
            else:
                messages.pop()

    async def _whole_answer(self, request: ChatRequest) -> ChatAnswer:
        sources: list[Source] = []
        text, reason = "", "stop"
        answer = self._answer(request.conversation(), request.passages, request.max_new_tokens)
        async with aclosing(answer) as events:
            async for event in events:
                sources = event.get("sources", sources)
                text += event.get("text", "")
                reason = event.get("finish_reason", reason)
        return ChatAnswer(
            message=AssistantMessage(content=text.strip()), sources=sources, finish_reason=reason,
            model=(await self.model.to_async.about())["model"],
        )  # fmt: skip

    async def _stream(self, websocket: WebSocket, messages: list[dict[str, str]], passages: int) -> str:
        """Send an answer as frames; its whole text, which may be empty."""
        text, reason = "", "stop"
        async with aclosing(self._answer(messages, passages, None)) as events:
            async for event in events:
                if "sources" in event:
                    found = [source.model_dump() for source in event["sources"]]
                    await websocket.send_json({"type": "sources", "sources": found})
                if "text" in event:
                    text += event["text"]
                    await websocket.send_json({"type": "token", "text": event["text"]})
                reason = event.get("finish_reason", reason)
        about = await self.model.to_async.about()
        await websocket.send_json({"type": "done", "finish_reason": reason, "model": about["model"]})
        return text.strip()

    async def _answer(
        self, messages: list[dict[str, str]], passages: int, max_new_tokens: int | None
    ) -> AsyncGenerator[dict[str, Any], None]:
        """`{"sources": [Source]}`, then the events of `generated`.

        Raises:
            BusyError: too many answers wait already.
        """
        model = self.model.to_async
        with self._answers.place():
            sources = await find_sources(model, messages, passages)
            yield {"sources": sources}
            answer = generated(model, messages, sources, max_new_tokens, places().serving)
            async with aclosing(answer) as events:
                async for event in events:
                    yield event


async def _text_frame(websocket: WebSocket) -> str:
    """The next frame as text; a binary one reads as an empty text, which is refused in words."""
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", _GOING_AWAY))
    return message.get("text") or ""


async def _send_error(websocket: WebSocket, error: Exception) -> None:
    detail = error_detail(error, uuid.uuid4().hex)
    await websocket.send_json({"type": "error", "error": detail.model_dump()})


answer_unknown_paths(app)
