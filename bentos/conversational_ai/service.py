"""API part: chat over HTTP and WebSocket, and retrieval alone.

BentoML's `timeout` guards only the first byte and its `max_concurrency` counts open WebSockets, so this part has limits of
its own: conversations at once, idle time, seconds per answer.
"""

from __future__ import annotations

import asyncio
import json
import logging
import uuid
from collections.abc import AsyncIterator
from typing import Any

import bentoml
from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from aura.errors import BusyError, InvalidRequestError
from bentos.conversational_ai.model import Conversationalist
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
from bentos.serving.api import answer_unknown_paths, error_detail, make_app
from bentos.serving.hop import raise_error_of
from bentos.serving.places import places

logger = logging.getLogger("aura.services")

app = make_app("Aura conversational AI", "Answers questions about clothes, grounded in a knowledge base.")

_FOLLOW_UP_WORDS = 6
_MAX_QUERY_CHARS = 1000
"""Of a long question the end is looked up: that is where people ask."""
_REMEMBERED_MESSAGES = 21
"""Odd, so that what is kept begins with a question."""
_GOING_AWAY, _TRY_AGAIN_LATER = 1001, 1013


@bentoml.service(name="conversational_ai", traffic={"timeout": 600})
@bentoml.asgi_app(app, path="/api/v1/conversational-ai")
class ConversationalAI:
    """Endpoints under `/api/v1/conversational-ai`."""

    model = bentoml.depends(Conversationalist)

    def __init__(self) -> None:
        self._open = 0

    @app.post("/chat")
    async def chat(self, request: ChatRequest) -> ChatAnswer:
        """One answer, with the passages that it may have used."""
        messages = [message.model_dump() for message in request.messages]
        sources = await self._sources(messages, request.passages)
        text, reason = "", "stop"
        async for event in self._events(messages, sources, request.max_new_tokens):
            text += event.get("text", "")
            reason = event.get("finish_reason", reason)
        return ChatAnswer(
            message=AssistantMessage(content=text.strip()), sources=sources, finish_reason=reason,
            model=(await self.model.to_async.about())["model"],
        )  # fmt: skip

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
        if self._open >= places().serving.max_conversations:
            full = BusyError("too many conversations are open", hint="try again in a moment")
            await _send_error(websocket, full)
            await websocket.close(_TRY_AGAIN_LATER)
            return
        self._open += 1
        try:
            await self._converse(websocket)
        except WebSocketDisconnect:
            logger.info("a client left its conversation")
        finally:
            self._open -= 1

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
                messages.append({"role": "assistant", "content": answer})
            except WebSocketDisconnect:
                raise
            except Exception as error:  # one failed answer must not end the conversation; the frame says what happened
                logger.exception("an answer failed")
                messages.pop()
                await _send_error(websocket, error)

    async def _stream(self, websocket: WebSocket, messages: list[dict[str, str]], passages: int) -> str:
        sources = await self._sources(messages, passages)
        await websocket.send_json({"type": "sources", "sources": [source.model_dump() for source in sources]})
        text, reason = "", "stop"
        async for event in self._events(messages, sources, None):
            if "text" in event:
                text += event["text"]
                await websocket.send_json({"type": "token", "text": event["text"]})
            reason = event.get("finish_reason", reason)
        about = await self.model.to_async.about()
        await websocket.send_json({"type": "done", "finish_reason": reason, "model": about["model"]})
        return text.strip()

    async def _sources(self, messages: list[dict[str, str]], k: int) -> list[Source]:
        if not k:
            return []
        answer = await self.model.to_async.retrieve(query=search_query(messages), k=k)
        raise_error_of(answer)
        return [Source(**one) for one in answer["passages"]]

    async def _events(
        self, messages: list[dict[str, str]], sources: list[Source], max_new_tokens: int | None
    ) -> AsyncIterator[dict[str, Any]]:
        """Events of the model part; chunks on the wire need not end where lines do."""
        serving = places().serving
        buffer = ""
        async for chunk in self.model.to_async.generate(
            messages=messages, passages=[source.text for source in sources],
            max_new_tokens=max_new_tokens or serving.max_new_tokens, seconds=serving.chat_timeout_seconds,
        ):  # fmt: skip
            *lines, buffer = (buffer + chunk).split("\n")
            for event in map(json.loads, filter(None, lines)):
                raise_error_of(event)
                yield event


def search_query(messages: list[dict[str, str]]) -> str:
    """What to look up: the last question, with the one before when it is too short to stand alone ("and in winter?")."""
    questions = [message["content"] for message in messages if message["role"] == "user"]
    if len(questions) > 1 and len(questions[-1].split()) < _FOLLOW_UP_WORDS:
        return f"{questions[-2]} {questions[-1]}"[-_MAX_QUERY_CHARS:]
    return questions[-1][-_MAX_QUERY_CHARS:]


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
