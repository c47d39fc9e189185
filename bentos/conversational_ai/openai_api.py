"""The OpenAI-compatible API: its application, and answers in OpenAI's format.

It is mounted at the root of the service's port, where `openai.OpenAI(base_url="http://localhost:8003/v1")` expects it, and below
the service's path, where a gateway forwards it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from fastapi import HTTPException
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ValidationError
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bentos.conversational_ai.answers import AnswerPart, RunningAnswer
from bentos.conversational_ai.frames import KEEP_ALIVE, FrameWriter, error_frame, with_silences
from bentos.conversational_ai.messages import Finished, Passage, Sentence, Started
from bentos.conversational_ai.openai_schemas import (
    MODEL_NAME,
    Annotation,
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChunkChoice,
    CompletionUsage,
    Delta,
    Extension,
    OpenAIError,
    OpenAIErrorBody,
    UrlCitation,
)
from bentos.conversational_ai.schemas import ChatAnswer
from bentos.serving.app import make_app
from bentos.serving.error_text import shortened
from bentos.serving.errors import ErrorBody, ErrorDetail, error_status
from bentos.serving.messages import ModelVersion
from inference.chat.passages import source_of

_DONE = b"data: [DONE]\n\n"


class _OpenAIErrors:
    """Rewrites every error body into OpenAI's shape, those of unknown paths and of the middleware included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start: Message | None = None
        body = b""

        async def send_rewritten(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and message["status"] >= 400:
                start = message
            elif start is None:
                await send(message)
            else:
                body += message.get("body", b"")
                if not message.get("more_body"):
                    rewritten = _rewritten(body, start["status"])
                    MutableHeaders(scope=start)["content-length"] = str(len(rewritten))
                    await send(start)
                    await send({"type": "http.response.body", "body": rewritten})

        await self._app(scope, receive, send_rewritten)


openai_app = make_app("Aura, OpenAI-compatible", "Chat completions in OpenAI's format.", error_body=OpenAIErrorBody)
openai_app.add_middleware(_OpenAIErrors)

NO_SUCH_MODEL: dict[int | str, dict[str, Any]] = {404: {"model": OpenAIErrorBody}}
"""`responses` of an endpoint that is told a model's name."""


@dataclass(frozen=True)
class Completion:
    """One answer in OpenAI's format.

    Args:
        ignored: what the request held and changes nothing.
        include_usage: a stream ends with the tokens of the answer.
    """

    ignored: list[str]
    include_usage: bool = False
    id: str = field(default_factory=lambda: f"chatcmpl-{uuid.uuid4().hex}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, answer: ChatAnswer) -> ChatCompletion:
        writer, annotations = FrameWriter(), []
        for sentence in answer.sentences:
            annotations += _annotations(sentence, writer, answer.sources)
        message = AnswerMessage(content=answer.message.content, annotations=annotations)
        return ChatCompletion(
            id=self.id, created=self.created, model=MODEL_NAME, system_fingerprint=_fingerprint(answer.model),
            choices=[Choice(message=message, finish_reason=_finish_reason(answer.finish_reason))],
            usage=CompletionUsage.of(answer.usage),
            aura=Extension(
                sources=answer.sources, sentences=answer.sentences, declined=answer.declined,
                dropped_messages=answer.dropped_messages, finish_reason=answer.finish_reason, model=answer.model,
                release=answer.release, ignored=self.ignored,
            ),
        )  # fmt: skip

    async def events(self, first: AnswerPart, rest: RunningAnswer) -> AsyncGenerator[bytes, None]:
        """Chunks as server-sent events, then `[DONE]`; or the error that ends them."""
        sources = first.sources if isinstance(first, Started) else []
        writer = FrameWriter()
        yield _data(self._chunk(first, writer, sources))
        async with aclosing(with_silences(rest)) as parts:
            async for part in parts:
                if part is None:
                    yield KEEP_ALIVE
                elif isinstance(part, Exception):
                    detail = ErrorDetail(**error_frame(part)["error"])
                    yield _data(OpenAIErrorBody(error=openai_error(detail, error_status(part))))
                    return
                else:
                    yield _data(self._chunk(part, writer, sources))
                    if isinstance(part, Finished) and self.include_usage:
                        yield _data(self._piece([], usage=CompletionUsage.of(part.usage)))
        yield _DONE

    def _chunk(self, part: AnswerPart, writer: FrameWriter, sources: list[Passage]) -> ChatCompletionChunk:
        extension: Extension | None = None
        if isinstance(part, Sentence):
            before = len(writer.text)
            annotations = _annotations(part, writer, sources)
            choice = ChunkChoice(delta=Delta(content=writer.text[before:], annotations=annotations))
        elif isinstance(part, Finished):
            choice = ChunkChoice(delta=Delta(), finish_reason=_finish_reason(part.finish_reason))
            extension = Extension(
                declined=part.declined, finish_reason=part.finish_reason, model=part.model, release=part.release
            )  # fmt: skip
        else:
            choice = ChunkChoice(delta=Delta(role="assistant", content=""))
            extension = Extension(
                sources=part.sources, dropped_messages=part.dropped_messages, ignored=self.ignored
            )  # fmt: skip
        return self._piece([choice], aura=extension)

    def _piece(self, choices: list[ChunkChoice], **more: Any) -> ChatCompletionChunk:
        return ChatCompletionChunk(id=self.id, created=self.created, model=MODEL_NAME, choices=choices, **more)


def require_model(name: str) -> None:
    """Raises HTTPException (404): there is no model of this name."""
    if name != MODEL_NAME:
        raise HTTPException(404, f"there is no model {shortened(name)!r}, but {MODEL_NAME}")


def openai_error(detail: ErrorDetail, status: int) -> OpenAIError:
    """An error of ours in OpenAI's words; its hint stands behind the message."""
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    kind = kinds.get(status, "invalid_request_error" if status < 500 else "server_error")
    message = f"{detail.message}. {detail.hint}" if detail.hint else detail.message
    return OpenAIError.model_validate(
        {"message": message, "type": kind, "code": detail.code, "request_id": detail.request_id}
    )


def _rewritten(body: bytes, status: int) -> bytes:
    try:
        detail = ErrorBody.model_validate_json(body).error
    except ValidationError:  # no body, as of HEAD
        return body
    return OpenAIErrorBody(error=openai_error(detail, status)).model_dump_json().encode()


def _annotations(sentence: Sentence, writer: FrameWriter, sources: list[Passage]) -> list[Annotation]:
    """The citation of the next sentence of a message, which the writer takes."""
    writer.frame(sentence)
    if sentence.source is None:
        return []
    source, end = sources[sentence.source], len(writer.text)
    citation = UrlCitation(
        start_index=end - len(sentence.text), end_index=end, title=source_of(source.title, source.heading),
        url=f"aura:knowledge/{source.slug}",
    )  # fmt: skip
    return [Annotation(url_citation=citation)]


def _finish_reason(reason: str) -> Literal["stop", "length"]:
    """OpenAI's word: an answer that was cut for any reason has the wrong length."""
    return "stop" if reason == "stop" else "length"


def _fingerprint(version: ModelVersion) -> str:
    return f"{version.name}-{version.version}"


def _data(body: BaseModel) -> bytes:
    return format_sse_event(data_str=body.model_dump_json(exclude_none=True))
