"""The API part of the conversational service over HTTP and WebSocket, with a stand-in for its model part."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from _bentoml_sdk.service import set_current_service
from fastapi import FastAPI, WebSocketDisconnect
from fastapi.testclient import TestClient

from bentos.conversational_ai import schemas
from bentos.conversational_ai.service import ConversationalAI, app
from bentos.conversational_ai.turns import Admission
from inference.retrieval.filters import MAX_QUERY_CHARS

MOST = 3


class ModelPart:
    """What BentoML's client of the model part offers; `answer` holds the pieces of the next answers."""

    def __init__(self) -> None:
        self.answer: list[str] = ["Brown ", "ones."]
        self.failure: Exception | None = None
        self.whole = True
        self.asked: list[list[dict[str, str]]] = []
        self.stopped: list[str] = []
        self.generating = 0
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    async def about(self) -> dict[str, Any]:
        return {"model": {"name": "chat", "version": "1"}, "index_version": "1"}

    async def retrieve(self, query: str, k: int) -> dict[str, Any]:
        return {"passages": [{"slug": "a", "title": "A", "heading": "A", "text": query, "score": 1.0}] * k}

    async def generate(self, answer_id: str, messages: list[dict[str, str]], **_: Any) -> AsyncIterator[str]:
        self.asked.append([*messages])
        self.generating += 1
        try:
            while not self.may_go_on.is_set():
                await asyncio.sleep(0.001)
            for text in self.answer:
                line = json.dumps({"text": text}) + "\n"
                yield line[:5]
                yield line[5:]
            if self.failure:
                raise self.failure
            if self.whole:
                yield json.dumps({"finish_reason": "stop"}) + "\n"
        finally:
            self.generating -= 1

    async def stop(self, answer_id: str) -> bool:
        self.stopped.append(answer_id)
        return True


@pytest.fixture
def part() -> ModelPart:
    return ModelPart()


@pytest.fixture
def service(part: ModelPart) -> Any:
    service = ConversationalAI.inner()
    service.model = SimpleNamespace(to_async=part)
    service._answers = Admission(MOST, "answers are being generated or wait")
    return service


@pytest.fixture
def client(service: Any) -> Iterator[TestClient]:
    set_current_service(service)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client
    set_current_service(None)


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def frames(socket: Any) -> list[dict[str, Any]]:
    got = [socket.receive_json()]
    while got[-1]["type"] not in ("done", "error"):
        got.append(socket.receive_json())
    return got


def until(condition: Any) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_an_answer_over_http_and_over_a_websocket(client: TestClient, part: ModelPart) -> None:
    answer = client.post("/chat", json={"messages": [user("Which shoes?")]}).json()
    assert answer["message"] == {"role": "assistant", "content": "Brown ones."}
    assert (answer["finish_reason"], len(answer["sources"]), answer["model"]["version"]) == ("stop", 2, "1")
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "Which shoes?"})
        assert [frame["type"] for frame in frames(socket)] == ["sources", "token", "token", "done"]
    assert part.stopped == []


def test_too_many_answers_are_refused_over_http_and_over_a_websocket(client: TestClient, part: ModelPart) -> None:
    part.may_go_on.clear()
    question = {"messages": [user("Which shoes?")]}
    with ThreadPoolExecutor() as pool, client.websocket_connect("/ws/chat") as socket:
        running = [pool.submit(client.post, "/chat", json=question) for _ in range(MOST)]
        until(lambda: part.generating == MOST)
        refused = client.post("/chat", json=question)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
        assert refused.headers["retry-after"]
        socket.send_json({"content": "Which shoes?"})
        assert frames(socket)[-1]["error"]["code"] == "busy"
        part.may_go_on.set()
        assert [one.result().status_code for one in running] == [200] * MOST
        socket.send_json({"content": "Which shoes?"})
        assert frames(socket)[-1]["type"] == "done"


def test_too_many_conversations_are_refused_and_a_place_comes_back(client: TestClient, service: Any) -> None:
    service._conversations = Admission(1, "conversations are open")
    with client.websocket_connect("/ws/chat") as first:
        first.send_json({"content": "Which shoes?"})
        assert frames(first)[-1]["type"] == "done"
        with client.websocket_connect("/ws/chat") as second:
            refused = frames(second)[-1]["error"]
            assert (refused["code"], refused["message"]) == ("busy", "1 conversations are open already")
            with pytest.raises(WebSocketDisconnect) as closed:
                second.receive_json()
            assert closed.value.code == 1013
    until(lambda: service._conversations._admitted == 0)
    with client.websocket_connect("/ws/chat") as third:
        third.send_json({"content": "Which shoes?"})
        assert frames(third)[-1]["type"] == "done"


def test_an_answer_is_stopped_when_its_http_caller_goes(client: TestClient, part: ModelPart) -> None:
    part.may_go_on.clear()

    async def leave_while_it_is_generated(app: FastAPI) -> list[dict[str, Any]]:
        body = json.dumps({"messages": [user("Which shoes?")]}).encode()
        bodies = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if bodies:
                return bodies.pop()
            while not part.generating:
                await asyncio.sleep(0.001)
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        scope = {
            "type": "http", "method": "POST", "path": "/chat", "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }  # fmt: skip
        await asyncio.wait_for(app(scope, receive, send), 5)
        return sent

    assert asyncio.run(leave_while_it_is_generated(app))[0]["status"] == 499
    assert (part.generating, len(part.stopped)) == (0, 1)
    part.may_go_on.set()
    for _ in range(MOST):  # its place is free again
        assert client.post("/chat", json={"messages": [user("Which shoes?")]}).status_code == 200


def test_an_answer_is_stopped_when_its_websocket_closes(service: Any, part: ModelPart) -> None:
    class Closed:
        async def send_json(self, frame: dict[str, Any]) -> None:
            if frame["type"] == "token":
                raise WebSocketDisconnect(1006)

    with pytest.raises(WebSocketDisconnect):
        asyncio.run(service._stream(Closed(), [user("Which shoes?")], 1))
    assert (part.generating, len(part.stopped)) == (0, 1)


def test_an_empty_answer_does_not_spoil_the_conversation(client: TestClient, part: ModelPart) -> None:
    with client.websocket_connect("/ws/chat") as socket:
        for pieces, question in (["Yes."], "One?"), ([" ", "\n"], "Two?"), ([], "Three?"), (["No."], "Four?"):
            part.answer = pieces
            socket.send_json({"content": question})
            assert frames(socket)[-1]["type"] == "done"
    assert part.asked[-1] == [user("One?"), assistant("Yes."), user("Four?")]


def test_an_echoed_empty_answer_is_left_out_with_its_question(client: TestClient, part: ModelPart) -> None:
    part.answer = []
    echoed = client.post("/chat", json={"messages": [user("Two?")]}).json()["message"]
    assert echoed == assistant("")
    history = [user("One?"), assistant("Yes."), user("Two?"), echoed, user("Three?"), assistant(" \n"), user("Four?")]
    assert client.post("/chat", json={"messages": history}).status_code == 200
    assert part.asked[-1] == [user("One?"), assistant("Yes."), user("Four?")]
    part.answer = ["Yes."]
    assert client.post("/chat", json={"messages": [assistant(""), user("One?")]}).status_code == 200
    assert part.asked[-1] == [user("One?")]


@pytest.mark.parametrize("messages", [[user("")], [user(" \n")], [user(""), assistant("Yes."), user("One?")]])
def test_an_empty_question_is_refused_in_words(client: TestClient, messages: list[dict[str, str]]) -> None:
    refused = client.post("/chat", json={"messages": messages})
    assert refused.status_code == 422
    assert "a message of the user must not be empty" in refused.json()["error"]["message"]


def test_a_query_too_long_for_retrieval_is_refused_by_the_schema(client: TestClient) -> None:
    assert schemas.MAX_QUERY_CHARS == MAX_QUERY_CHARS
    refused = client.post("/rag/query", json={"query": "x" * (MAX_QUERY_CHARS + 1)})
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (None, 500, "service_failed"),
        (TimeoutError(), 503, "overloaded"),
        (aiohttp.ClientPayloadError("the model part died"), 503, "overloaded"),
    ],
)
def test_half_an_answer_is_an_error(
    client: TestClient, part: ModelPart, failure: Exception | None, status: int, code: str
) -> None:
    part.failure, part.whole = failure, False
    failed = client.post("/chat", json={"messages": [user("Which shoes?")]})
    assert (failed.status_code, failed.json()["error"]["code"]) == (status, code)
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "Which shoes?"})
        assert frames(socket)[-1]["error"]["code"] == code
        part.failure, part.whole = None, True
        socket.send_json({"content": "And which bag?"})
        assert frames(socket)[-1]["type"] == "done"
    assert part.asked[-1] == [user("And which bag?")]
