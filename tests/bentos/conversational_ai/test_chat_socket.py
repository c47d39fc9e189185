"""One WebSocket of the conversational service: cancelled, dropped, idle, and the end of the process."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

from _bentoml_sdk.service import set_current_service
from fastapi.testclient import TestClient

from tests.bentos.conversational_ai.stub_runner import (
    NOT_STORED,
    Runner,
    assistant,
    closing_code,
    conversation_of,
    done,
    frames,
    service_with,
    until,
    user,
)


def test_an_answer_that_is_cancelled_frees_its_place(client: TestClient, runner: Runner) -> None:
    set_current_service(service_with(runner, max_waiting_answers=1))
    runner.may_go_on.clear()
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "Which shoes?"})
        assert socket.receive_json()["type"] == "sources"
        socket.send_json({"type": "cancel"})
        assert frames(socket) == [{"type": "cancelled", **NOT_STORED}]
        assert len(runner.stopped) == 1
        runner.may_go_on.set()
        socket.send_json({"type": "cancel"})  # nothing is being made: nothing is answered
        socket.send_json({"type": "question", "content": "And which bag?"})
        assert frames(socket)[-1] == done(declined=False)
    assert runner.conversations[-1] == [user("And which bag?")], "nothing of the first answer had been told"


def test_a_question_before_the_last_answer_is_done_is_refused_and_disturbs_nothing(
    client: TestClient, runner: Runner
) -> None:
    runner.may_go_on.clear()
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "Which shoes?"})
        assert socket.receive_json()["type"] == "sources"
        socket.send_json({"content": "And which bag?"})
        assert frames(socket)[-1]["error"]["code"] == "busy"
        runner.may_go_on.set()
        assert [frame["type"] for frame in frames(socket)] == ["token", "token", "done"]


def test_a_dropped_conversation_goes_on_over_another_connection(client: TestClient, runner: Runner) -> None:
    with client.websocket_connect("/ws/chat") as socket:
        conversation = conversation_of(socket)
    with client.websocket_connect(f"/ws/chat?conversation={conversation}") as socket:
        assert conversation_of(socket) == conversation
    assert runner.conversations[-1] == [user("Which shoes?"), assistant("Brown ones. Not black."), user("Which shoes?")]


def test_a_conversation_is_at_one_connection_at_a_time(client: TestClient, runner: Runner) -> None:
    with client.websocket_connect("/ws/chat") as first:
        conversation = conversation_of(first)
        runner.may_go_on.clear()
        first.send_json({"content": "And which bag?"})
        assert first.receive_json()["type"] == "sources"
        with client.websocket_connect(f"/ws/chat?conversation={conversation}") as second:
            assert closing_code(first) == 1008
            until(lambda: runner.generating == 0)
            runner.may_go_on.set()
            assert conversation_of(second) == conversation
    assert len(runner.conversations[-1]) == 3, "what the first connection had not been told is not part of it"


def test_a_conversation_that_is_not_remembered_is_refused_in_words(client: TestClient) -> None:
    with client.websocket_connect("/ws/chat?conversation=made-up") as socket:
        assert "no such conversation" in frames(socket)[-1]["error"]["message"]
        assert closing_code(socket) == 1008


def test_an_idle_connection_is_closed_but_none_that_waits_for_its_answer(client: TestClient, runner: Runner) -> None:
    set_current_service(service_with(runner, idle_timeout_seconds=0.05))
    runner.may_go_on.clear()
    with client.websocket_connect("/ws/chat") as socket:
        socket.send_json({"content": "Which shoes?"})
        time.sleep(0.2)
        runner.may_go_on.set()
        assert frames(socket)[-1]["type"] == "done"
        assert closing_code(socket) == 1001


def test_idle_connections_take_no_place_of_an_answer(client: TestClient, runner: Runner) -> None:
    set_current_service(service_with(runner, max_waiting_answers=1))
    with ExitStack() as sockets:
        for _ in range(50):
            sockets.enter_context(client.websocket_connect("/ws/chat"))
        assert client.post("/chat", json={"messages": [user("Which shoes?")]}).status_code == 200


def test_a_process_that_ends_finishes_its_answers_and_sends_its_callers_elsewhere(
    service: Any, client: TestClient, runner: Runner
) -> None:
    runner.may_go_on.clear()
    question = {"messages": [user("Which shoes?")]}
    assert client.portal is not None
    with (
        ThreadPoolExecutor() as pool, client.websocket_connect("/ws/chat") as idle, client.websocket_connect("/ws/chat") as busy,
    ):  # fmt: skip
        over_http = pool.submit(client.post, "/chat", json=question)
        busy.send_json({"content": "Which shoes?"})
        until(lambda: runner.generating == 2)
        ending = client.portal.start_task_soon(service._answers.drain)
        assert closing_code(idle) == 1012
        refused = client.post("/chat", json=question)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "busy")
        assert client.get("/health").status_code == 503
        assert not ending.done()
        runner.may_go_on.set()
        assert over_http.result().status_code == 200
        assert frames(busy)[-1]["type"] == "done"
        assert closing_code(busy) == 1012
        ending.result(timeout=60)
