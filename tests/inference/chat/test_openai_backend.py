"""Answers whose words come from an OpenAI-compatible server: a small one, over real HTTP, that says what a test puts in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from aura.errors import BusyError, ServiceError, SettingsError
from inference.chat.answer import DECLINED, AnswerStoppedError
from inference.chat.model import ChatModel
from inference.chat.openai_backend import OpenAIBackend
from inference.chat.passages import ChatPassage

ASK = [{"role": "user", "content": "How do I wash wool?"}]
WOOL = ChatPassage(source="Wool. Washing", text="Wash wool at 30 degrees. Dry it flat on a towel.")


@dataclass
class Server:
    """What the next answers are, and what was asked."""

    says: list[str] = field(default_factory=list)
    status: int = 200
    finish_reason: str = "stop"
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/chat/completions"
            state.keys.append(self.headers["authorization"])
            state.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            if state.status != 200:
                body = json.dumps({"error": {"message": "no", "type": "x", "param": None, "code": "x"}}).encode()
                self.send_response(state.status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.end_headers()
            for piece in state.says:
                self._chunk({"content": piece}, None)
            self._chunk({}, state.finish_reason)
            self.wfile.write(b"data: [DONE]\n\n")

        def _chunk(self, delta: dict[str, str], reason: str | None) -> None:
            chunk = {
                "id": "1", "object": "chat.completion.chunk", "created": 0, "model": "big",
                "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
            }  # fmt: skip
            self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True).start()
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{http.server_port}/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield state
    http.shutdown()
    http.server_close()


@pytest.fixture
def backend(server: Server) -> OpenAIBackend:
    assert server is not None
    return OpenAIBackend("big")


def said(chat: ChatModel, backend: OpenAIBackend, *passages: ChatPassage) -> list[tuple[str, int | None, str]]:
    answer = chat.answer(ASK, passages, 40, backend=backend)
    return [(sentence.text, sentence.passage, sentence.status) for sentence in answer]


def test_what_the_passages_say_is_shown_with_its_source(
    tiny_chat: ChatModel, backend: OpenAIBackend, server: Server
) -> None:
    server.says = ["Wash wool ", "at 30 degrees. Dry it", " flat on a towel."]
    assert said(tiny_chat, backend, WOOL) == [
        ("Wash wool at 30 degrees.", 0, "supported"), ("Dry it flat on a towel.", 0, "supported"),
    ]  # fmt: skip
    [asked] = server.asked
    assert (asked["model"], asked["stream"], asked["max_completion_tokens"]) == ("big", True, 40)
    assert [message["role"] for message in asked["messages"]] == ["system", "user"]
    assert asked["messages"][1]["content"].startswith("Notes:\nWool. Washing.\nWash wool at 30 degrees.")
    assert server.keys == ["Bearer a key"]


def test_what_no_passage_says_is_not_shown(tiny_chat: ChatModel, backend: OpenAIBackend, server: Server) -> None:
    server.says = ["Wash wool at 60 degrees. ", "Elephants are grey."]
    assert said(tiny_chat, backend, WOOL) == [("Wash wool at 30 degrees.", 0, "replaced")]
    server.says = ["Elephants are grey and eat grass."]
    assert said(tiny_chat, backend, WOOL) == [(DECLINED.text, None, "declined")]


def test_what_is_declined_costs_the_server_nothing(
    tiny_chat: ChatModel, backend: OpenAIBackend, server: Server
) -> None:
    assert said(tiny_chat, backend) == [(DECLINED.text, None, "declined")]
    far = ChatPassage(source="Wool. Washing", text="Wash wool at 30 degrees.", similarity=0.0)
    assert said(tiny_chat, backend, far) == [(DECLINED.text, None, "declined")]
    assert server.asked == []


@pytest.mark.parametrize(("reason", "told"), [("stop", "stop"), ("length", "length"), ("content_filter", "length")])
def test_why_an_answer_ended_is_told(
    tiny_chat: ChatModel, backend: OpenAIBackend, server: Server, reason: str, told: str
) -> None:
    server.says, server.finish_reason = ["Wash wool at 30 degrees."], reason
    answer = tiny_chat.answer(ASK, [WOOL], 40, backend=backend)
    assert len(list(answer)) == 1
    assert answer.finish_reason == told


@pytest.mark.parametrize(
    ("status", "kind"), [(503, BusyError), (429, BusyError), (401, ServiceError), (404, ServiceError)]
)
def test_its_errors_are_ours(
    tiny_chat: ChatModel, backend: OpenAIBackend, server: Server, status: int, kind: type[Exception]
) -> None:
    server.status = status
    with pytest.raises(kind):
        said(tiny_chat, backend, WOOL)


def test_a_server_that_is_away_is_busy(tiny_chat: ChatModel, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert server is not None
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(BusyError):
        said(tiny_chat, OpenAIBackend("big"), WOOL)


def test_an_answer_that_nobody_wants_any_longer_ends_its_request(
    tiny_chat: ChatModel, backend: OpenAIBackend, server: Server
) -> None:
    server.says = ["Wash wool at 30 degrees. "] * 50
    wanted = iter([True] * 5 + [False] * 100)
    answer = tiny_chat.answer(ASK, [WOOL], 40, lambda: next(wanted), backend)
    with pytest.raises(AnswerStoppedError):
        list(answer)


def test_without_a_key_it_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(SettingsError, match="OPENAI_API_KEY"):
        OpenAIBackend("big")
