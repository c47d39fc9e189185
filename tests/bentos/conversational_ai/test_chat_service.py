"""The conversational service over HTTP and WebSocket, with a stand-in for its runner."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiohttp
import pytest
from _bentoml_sdk.service import set_current_service
from fastapi import FastAPI, WebSocketDisconnect
from fastapi.testclient import TestClient
from pydantic import ValidationError

from bentos.conversational_ai import schemas
from bentos.conversational_ai.service import app
from bentos.serving.errors import Failure
from inference.chat.answer import DECLINED
from inference.chat.passages import DEFAULT_PASSAGES
from inference.retrieval.filters import MAX_QUERY_CHARS
from tests.bentos.conversational_ai.stub_runner import (
    MOST,
    PLAIN_NO,
    RELEASE,
    Runner,
    assistant,
    closing_code,
    done,
    frames,
    quoted,
    service_with,
    until,
    user,
)


def test_an_answer_over_http_and_over_a_websocket(client: TestClient, runner: Runner) -> None:
    answer = client.post("/chat", json={"messages": [user("Which shoes?")]}).json()
    assert answer["message"] == {"role": "assistant", "content": "Brown ones. Not black."}
    assert answer["sentences"] == [
        {"text": "Brown ones.", "source": 0, "status": "quoted"}, {"text": "Not black.", "source": 1, "status": "quoted"},
    ]  # fmt: skip
    assert len(answer["sources"]) == DEFAULT_PASSAGES
    assert (answer["finish_reason"], answer["declined"], answer["model"]["version"]) == ("stop", False, "1")
    assert answer["release"] == RELEASE.model_dump()
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "Which shoes?"})
        received = frames(socket)
        assert [frame["type"] for frame in received] == ["sources", "token", "token", "done"]
        assert received[0]["sources"] == answer["sources"]
        # The texts joined are the whole answer.
        assert received[1:3] == [
            {"type": "token", "text": "Brown ones.", "source": 0, "status": "quoted"},
            {"type": "token", "text": " Not black.", "source": 1, "status": "quoted"},
        ]
        assert received[3] == done(declined=False)
    assert runner.stopped == []


def test_a_plain_no_is_an_answer_without_a_source(client: TestClient, runner: Runner) -> None:
    runner.declines = True
    answer = client.post("/chat", json={"messages": [user("How do I tune a piano?")]}).json()
    assert (answer["message"], answer["declined"]) == (assistant(DECLINED.text), True)
    assert answer["sentences"] == [{"text": DECLINED.text, "source": None, "status": "declined"}]
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "How do I tune a piano?"})
        assert frames(socket)[1:] == [{"type": "token", **PLAIN_NO.model_dump()}, done(declined=True)]
        runner.declines = False
        socket.send_json({"content": "Which shoes?"})
        assert frames(socket)[-1] == done(declined=False)
    # It is remembered: "and which shoes?" may stand on the question before it.
    assert runner.conversations[-1] == [
        user("How do I tune a piano?"), assistant(DECLINED.text), user("Which shoes?"),
    ]  # fmt: skip


def test_an_answer_may_be_sent_back_as_it_came(client: TestClient, runner: Runner) -> None:
    first = [user("Which shoes?")]
    said = client.post("/chat", json={"messages": first}).json()["message"]
    with client.websocket_connect("/ws/chat") as socket:
        for question in ("Which shoes?", "And which bag?"):
            socket.send_json({"content": question})
            assert frames(socket)[-1] == done(declined=False)
    whole = [*first, assistant("Brown ones. Not black."), user("And which bag?")]
    assert runner.conversations[-1] == whole
    assert client.post("/chat", json={"messages": [*first, said, user("And which bag?")]}).status_code == 200
    assert runner.conversations[-1] == whole


def test_the_sources_of_an_answer_are_the_passages_that_the_model_saw(client: TestClient, runner: Runner) -> None:
    runner.room = 2
    question = {"messages": [user("Which shoes?")], "passages": 5}
    answer = client.post("/chat", json=question).json()
    assert (len(answer["sources"]), answer["dropped_messages"]) == (2, 4)
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "Which shoes?", "passages": 5})
        first = frames(socket)[0]
        assert (len(first["sources"]), first["dropped_messages"]) == (2, 4)
    runner.room = 0
    assert client.post("/chat", json=question).json()["sources"] == []


def test_blanks_around_a_text_do_not_count(client: TestClient, runner: Runner) -> None:
    """Limits hold for what is left without them."""
    blanks = " \n" * 3000
    asked = user(f"{blanks}Which shoes?{blanks}")
    assert client.post("/chat", json={"messages": [asked]}).status_code == 200
    assert client.post("/rag/query", json={"query": asked["content"]}).json()["passages"][0]["text"] == "Which shoes?"
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": asked["content"]})
        assert frames(socket)[-1]["type"] == "done"
        socket.send_json({"content": blanks})
        assert "content" in frames(socket)[-1]["error"]["message"]
    assert runner.conversations == [[user("Which shoes?")]] * 2


def test_the_longest_answer_may_be_sent_back(client: TestClient, runner: Runner) -> None:
    answer = "croquembouche! " * schemas.MAX_ANSWER_TOKENS
    assert client.post("/chat", json={"messages": [user("Hm?"), assistant(answer), user("One?")]}).status_code == 200
    assert runner.conversations[-1][1] == assistant(answer.strip())
    refused = client.post("/chat", json={"messages": [user(answer)]})
    assert "at most 4000" in refused.json()["error"]["message"]


def test_no_frame_and_no_body_is_sent_back_whole(client: TestClient) -> None:
    long = "x" * 900_000
    frames_of_fools = [
        json.dumps({f"k{number}": 1 for number in range(60_000)}), json.dumps({"content": long}),
        json.dumps({long: 1}), "{" + long, json.dumps({"content": long * 2}),
    ]  # fmt: skip
    with client.websocket_connect("/ws/chat") as socket:
        for frame in frames_of_fools:
            socket.send_text(frame)
            refusal = socket.receive_text()
            assert len(refusal) < 3000
            assert json.loads(refusal)["type"] == "error"
        socket.send_json({"content": "Which shoes?"})
        assert frames(socket)[-1]["type"] == "done"
    for frame in frames_of_fools:
        refused = client.post("/chat", content=frame, headers={"content-type": "application/json"})
        assert 400 <= refused.status_code < 500
        assert len(refused.content) < 3000


def test_health_says_how_long_a_question_may_be(client: TestClient) -> None:
    assert client.get("/health").json()["question_tokens"] == 256
    properties = client.get("/openapi.json").json()["components"]["schemas"]["Message"]["properties"]
    assert "question_tokens" in properties["content"]["description"]


def test_too_many_answers_are_refused_over_http_and_over_a_websocket(client: TestClient, runner: Runner) -> None:
    runner.may_go_on.clear()
    question = {"messages": [user("Which shoes?")]}
    with ThreadPoolExecutor() as pool, client.websocket_connect("/ws/chat") as socket:
        running = [pool.submit(client.post, "/chat", json=question) for _ in range(MOST)]
        until(lambda: runner.generating == MOST)
        refused = client.post("/chat", json=question)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
        assert refused.headers["retry-after"]
        socket.send_json({"content": "Which shoes?"})
        assert frames(socket)[-1]["error"]["code"] == "busy"
        runner.may_go_on.set()
        assert [task.result().status_code for task in running] == [200] * MOST
        socket.send_json({"content": "Which shoes?"})
        assert frames(socket)[-1]["type"] == "done"


def test_too_many_conversations_are_refused_and_a_slot_comes_back(client: TestClient, runner: Runner) -> None:
    set_current_service(service_with(runner, max_conversations=1))
    with client.websocket_connect("/ws/chat") as first:
        first.send_json({"content": "Which shoes?"})
        assert frames(first)[-1]["type"] == "done"
        with client.websocket_connect("/ws/chat") as second:
            refused = frames(second)[-1]["error"]
            assert (refused["code"], refused["message"]) == ("busy", "1 conversations are open already")
            assert closing_code(second) == 1013

    def answers_again() -> bool:
        with client.websocket_connect("/ws/chat") as third:
            third.send_json({"content": "Which shoes?"})
            return bool(frames(third)[-1]["type"] == "done")

    until(answers_again)  # the server may notice a moment later that the first one has left
    assert answers_again()


def test_an_answer_is_stopped_when_its_http_caller_goes(client: TestClient, runner: Runner) -> None:
    runner.may_go_on.clear()

    async def leave_while_it_is_generated(app: FastAPI) -> list[dict[str, Any]]:
        body = json.dumps({"messages": [user("Which shoes?")]}).encode()
        bodies = [{"type": "http.request", "body": body, "more_body": False}]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            if bodies:
                return bodies.pop()
            while not runner.generating:
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
    assert (runner.generating, len(runner.stopped)) == (0, 1)
    runner.may_go_on.set()
    for _ in range(MOST):  # its slot is free again
        assert client.post("/chat", json={"messages": [user("Which shoes?")]}).status_code == 200


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("noticed_by", ["reading", "sending"])
def test_an_answer_is_stopped_when_its_websocket_closes(
    runner: Runner, caplog: pytest.LogCaptureFixture, noticed_by: str
) -> None:
    async def close(app: FastAPI) -> None:
        frames = [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": json.dumps({"content": "Which shoes?"})},
        ]
        if noticed_by == "reading":
            runner.may_go_on.clear()

        async def receive() -> dict[str, Any]:
            while not frames and (noticed_by == "sending" or not runner.generating):
                await asyncio.sleep(0.001)
            return frames.pop(0) if frames else {"type": "websocket.disconnect", "code": 1006}

        async def send(message: dict[str, Any]) -> None:
            if noticed_by == "sending" and "sources" in message.get("text", ""):
                raise WebSocketDisconnect(1006)

        scope = {"type": "websocket", "path": "/ws/chat", "query_string": b"", "headers": [], "subprotocols": []}
        await asyncio.wait_for(app(scope, receive, send), 5)

    runner.endless = noticed_by == "sending"
    with caplog.at_level("INFO"):
        asyncio.run(close(app))
    assert "a client left its conversation" in caplog.text
    assert (runner.generating, len(runner.stopped)) == (0, 1)


def test_with_stream_an_answer_comes_as_the_frames_of_the_websocket(client: TestClient) -> None:
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "Which shoes?"})
        expected = frames(socket)
    streamed = client.post("/chat", json={"messages": [user("Which shoes?")], "stream": True})
    assert streamed.headers["content-type"].startswith("text/event-stream")
    expected[-1]["conversation"] = None  # over HTTP nothing is remembered of whom has not signed in
    assert events(streamed.text) == [(frame["type"], frame) for frame in expected]


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Name and data of each server-sent event."""
    found = []
    for block in filter(None, text.split("\n\n")):
        named, data = block.split("\n", 1)
        found.append((named.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def test_an_error_before_a_stream_begins_has_its_status_and_one_behind_is_the_last_event(
    client: TestClient, runner: Runner
) -> None:
    question = {"messages": [user("Which shoes?")], "stream": True}
    runner.failure, runner.whole = aiohttp.ClientPayloadError("the runner died"), False
    name, error = events(client.post("/chat", json=question).text)[-1]
    assert (name, error["error"]["code"]) == ("error", "overloaded")
    runner.refusal = Failure(code="invalid_request", message="the question is too long", hint="shorten it")
    refused = client.post("/chat", json=question)
    assert (refused.status_code, refused.json()["error"]["message"]) == (400, "the question is too long")


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize("leaves_after", ["http.response.start", "http.response.body"])
def test_an_answer_is_stopped_when_the_reader_of_its_events_goes(runner: Runner, leaves_after: str) -> None:
    runner.may_go_on.clear()

    async def leave(app: FastAPI) -> None:
        body = json.dumps({"messages": [user("Which shoes?")], "stream": True}).encode()
        bodies = [{"type": "http.request", "body": body, "more_body": False}]
        gone = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if bodies:
                return bodies.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == leaves_after:
                gone.set()
                await asyncio.sleep(0)

        scope = {
            "type": "http", "method": "POST", "path": "/chat", "query_string": b"",
            "headers": [(b"content-type", b"application/json")],
        }  # fmt: skip
        await asyncio.wait_for(app(scope, receive, send), 5)

    asyncio.run(leave(app))
    assert (runner.generating, len(runner.stopped)) == (0, 1)


def test_an_empty_answer_does_not_spoil_the_conversation(client: TestClient, runner: Runner) -> None:
    with client.websocket_connect("/ws/chat") as socket:
        for sentences, question in (["Yes."], "One?"), ([], "Two?"), ([], "Three?"), (["No."], "Four?"):
            runner.answer = sentences
            socket.send_json({"content": question})
            received = frames(socket)
            assert [frame["type"] for frame in received] == ["sources", *["token"] * len(sentences), "done"]
    assert runner.conversations[-1] == [user("One?"), assistant("Yes."), user("Four?")]


def test_an_echoed_empty_answer_is_left_out_with_its_question(client: TestClient, runner: Runner) -> None:
    runner.answer = []
    echoed = client.post("/chat", json={"messages": [user("Two?")]}).json()["message"]
    assert echoed == assistant("")
    history = [user("One?"), assistant("Yes."), user("Two?"), echoed, user("Three?"), assistant(" \n"), user("Four?")]
    assert client.post("/chat", json={"messages": history}).status_code == 200
    assert runner.conversations[-1] == [user("One?"), assistant("Yes."), user("Four?")]
    runner.answer = ["Yes."]
    assert client.post("/chat", json={"messages": [assistant(""), user("One?")]}).status_code == 200
    assert runner.conversations[-1] == [user("One?")]


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
        (aiohttp.ClientPayloadError("the runner died"), 503, "overloaded"),
    ],
)
def test_half_an_answer_is_an_error(
    client: TestClient, runner: Runner, failure: Exception | None, status: int, code: str
) -> None:
    runner.failure, runner.whole = failure, False
    failed = client.post("/chat", json={"messages": [user("Which shoes?")]})
    assert (failed.status_code, failed.json()["error"]["code"]) == (status, code)
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "Which shoes?"})
        assert frames(socket)[-1]["error"]["code"] == code
        runner.failure, runner.whole = None, True
        socket.send_json({"content": "And which bag?"})
        assert frames(socket)[-1]["type"] == "done"
    assert runner.conversations[-1] == [user("And which bag?")]


def test_a_finished_answer_needs_no_second_call(client: TestClient, runner: Runner) -> None:
    """A runner that is told to end finishes its answers and takes no more calls."""
    runner.gone_afterwards = True
    answer = client.post("/chat", json={"messages": [user("Which shoes?")], "passages": 0})
    assert (answer.status_code, answer.json()["model"]) == (200, {"name": "chat", "version": "1"})
    query = client.post("/rag/query", json={"query": "Which shoes?"})
    assert (query.status_code, query.json()["index_version"]) == (200, "1")
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "Which shoes?"})
        assert frames(socket)[-1] == done(declined=False)
    assert client.get("/health").status_code == 503


def test_the_runner_is_told_which_request_it_works_for(client: TestClient, runner: Runner) -> None:
    client.post("/chat", json={"messages": [user("Which shoes?")]}, headers={"x-request-id": "abc-1"})
    assert runner.request_ids == ["abc-1", "abc-1"]


def test_letters_of_all_alphabets_arrive_whole_however_the_stream_is_cut(client: TestClient, runner: Runner) -> None:
    runner.answer = ["Ça va très bien,\n\u2028 絹とウール"]
    answer = client.post("/chat", json={"messages": [user("Which shoes?")]}).json()
    assert answer["message"]["content"] == answer["sentences"][0]["text"] == runner.answer[0]


@pytest.mark.parametrize("nothing", ["", " \n"])
def test_a_sentence_that_says_nothing_cannot_be_sent(nothing: str) -> None:
    with pytest.raises(ValidationError):
        quoted(nothing, 0)
