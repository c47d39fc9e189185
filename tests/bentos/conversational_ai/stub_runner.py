"""What stands in for the runner of the conversational service, and how tests speak with the service."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from itertools import count
from typing import Any

import aiohttp
import pytest
from fastapi import WebSocketDisconnect

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
from bentos.conversational_ai.service import ConversationalAI
from bentos.serving.errors import Failure
from bentos.serving.messages import ModelVersion
from bentos.serving.settings import ServingSettings
from inference.chat.answer import DECLINED
from tests.bentos.stub_assets import StubAssets, made_by

MOST = 3


VERSION = ModelVersion(name="chat", version="1")
RELEASE = made_by("chat")
PLAIN_NO = Sentence(text=DECLINED.text, source=None, status="declined")


NOT_STORED = {"stored": False, "notes": []}
"""What the last frame says to somebody who has not signed in."""


def quoted(text: str, source: int) -> Sentence:
    return Sentence(text=text, source=source, status="quoted")


class Runner:
    """What BentoML's client of the runner offers; `answer` holds the sentences of the next answers."""

    def __init__(self) -> None:
        self.answer = ["Brown ones.", "Not black."]
        self.declines = False
        self.failure: Exception | None = None
        self.refusal: Failure | None = None
        self.gone_afterwards = False
        self.whole = True
        self.endless = False
        self.room = 5
        self.conversations: list[list[dict[str, str]]] = []
        self.stopped: list[str] = []
        self.request_ids: list[str] = []
        self.generating = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    async def status(self) -> RunnerStatus:
        if self.gone_afterwards and self.request_ids:
            raise aiohttp.ServerDisconnectedError
        return RunnerStatus(model=VERSION, index_version="1", question_tokens=256, release=RELEASE)

    async def retrieve(self, requests: list[RetrieveRequest]) -> list[FoundPassages | Failure]:
        return [self._found(request) for request in requests]

    def _found(self, request: RetrieveRequest) -> FoundPassages:
        self.request_ids.append(request.request_id)
        passage = Passage(slug="a", title="A", heading="A", text=request.query, score=1.0, similarity=0.5)
        return FoundPassages(passages=[passage] * request.k, index_version="1", model=VERSION, release=RELEASE)

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[bytes, None]:
        self.request_ids.append(request.request_id)
        self.conversations.append([message.model_dump() for message in request.messages])
        self.generating += 1
        try:
            if self.refusal:
                yield event_line(self.refusal)
                return
            yield event_line(Started(sources=request.passages[: self.room], dropped_messages=4))
            while not self.may_go_on.is_set():
                await asyncio.sleep(0.001)
            for line in map(event_line, [PLAIN_NO] if self.declines else map(quoted, self.answer, count())):
                yield line[:5]
                yield line[5:]
            while self.endless:
                await asyncio.sleep(0.001)
            if self.failure:
                raise self.failure
            if self.whole:
                usage = Usage(prompt_tokens=70, completion_tokens=6)
                yield event_line(
                    Finished(finish_reason="stop", declined=self.declines, model=VERSION, release=RELEASE, usage=usage)
                )
        finally:
            self.generating -= 1

    async def stop(self, request: StopRequest) -> Stopped:
        self.stopped.append(request.answer_id)
        return Stopped(was_running=True, model=VERSION)


def service_with(runner: Runner, **limits: float) -> Any:
    serving = ServingSettings(**({"max_waiting_answers": MOST} | limits))
    return ConversationalAI.inner(StubAssets(serving=serving), runner)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def done(*, declined: bool) -> dict[str, Any]:
    """The last frame of a whole answer."""
    return {
        "type": "done",
        "finish_reason": "stop",
        "declined": declined,
        "model": VERSION.model_dump(),
        "usage": {"prompt_tokens": 70, "completion_tokens": 6},
        "writer": None,
        "release": RELEASE.model_dump(),
        **NOT_STORED,
    }


def frames(socket: Any) -> list[dict[str, Any]]:
    """The frames of an answer, without the conversation that they name."""
    received = [socket.receive_json()]
    while received[-1]["type"] not in ("done", "error", "cancelled"):
        received.append(socket.receive_json())
    named = {frame.pop("conversation", None) for frame in received if frame["type"] in ("sources", "done")}
    assert len(named) <= 1
    return received


def conversation_of(socket: Any) -> str:
    """Asks, and returns the id of the conversation."""
    socket.send_json({"content": "Which shoes?"})
    received = [socket.receive_json()]
    while received[-1]["type"] != "done":
        received.append(socket.receive_json())
    return str(received[-1]["conversation"])


def closing_code(socket: Any) -> int:
    with pytest.raises(WebSocketDisconnect) as closed:
        socket.receive_json()
    return closed.value.code


def until(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)
