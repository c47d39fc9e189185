"""Bodies that are too long are refused, and most of them never taken in; every request has an id."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import pytest
from fastapi import File, UploadFile, WebSocket
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.testclient import WebSocketDenialResponse

from bentos.serving.app import apply_settings, make_app
from bentos.serving.messages import RunnerRequest
from bentos.serving.request_log import logger
from bentos.serving.settings import ServingSettings

LIMIT = 10_000


class Text(BaseModel):
    text: str


app = make_app("test", "test", image_paths=("/file",))
apply_settings(app, ServingSettings(max_json_bytes=LIMIT, max_body_bytes=LIMIT, max_image_bytes=LIMIT))


@app.post("/text")
async def take_text(body: Text) -> int:
    return len(body.text)


@app.post("/file")
async def take_file(file: Annotated[UploadFile, File()]) -> int:
    return len(await file.read())


@app.get("/id")
async def logged_id() -> str:
    logger.warning("working")
    return RunnerRequest().request_id


@app.get("/thread-id")
def id_in_a_thread() -> str:
    return RunnerRequest().request_id


@app.websocket("/ws/id")
async def socket_id(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(RunnerRequest().request_id)


@pytest.fixture
def client() -> TestClient:
    return TestClient(app, raise_server_exceptions=False)


def in_pieces(content: bytes) -> Iterator[bytes]:
    """Makes httpx send no Content-Length."""
    for start in range(0, len(content), 1000):
        yield content[start : start + 1000]


def refused(response: Any) -> None:
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (413, "too_large")
    assert f"at most {LIMIT} are allowed" in error["message"]
    assert error["hint"]
    assert error["request_id"] == response.headers["x-request-id"]


def json_of(size: int) -> bytes:
    return b'{"text": "%s"}' % (b"x" * (size - 12))


def test_json_is_taken_up_to_the_limit(client: TestClient) -> None:
    headers = {"content-type": "application/json"}
    for content in (json_of(LIMIT), in_pieces(json_of(LIMIT))):
        assert client.post("/text", content=content, headers=headers).json() == LIMIT - 12
    for content in (json_of(LIMIT + 1), in_pieces(json_of(LIMIT + 1))):
        refused(client.post("/text", content=content, headers=headers))


def test_an_upload_too(client: TestClient) -> None:
    assert client.post("/file", files={"file": ("a", b"x" * 9000)}).json() == 9000
    refused(client.post("/file", files={"file": ("a", b"x" * LIMIT)}))
    request = client.build_request("POST", "/file", files={"file": ("a", b"x" * 2 * LIMIT)})
    headers = {"content-type": request.headers["content-type"]}
    refused(client.post("/file", content=in_pieces(request.read()), headers=headers))


@pytest.mark.parametrize(("headers", "taken"), [([(b"content-length", b"1000000")], 0), ([], 11)])
def test_what_is_too_long_is_not_taken_in(headers: list[tuple[bytes, bytes]], taken: int) -> None:
    """A body of 1000 pieces of 1000 bytes: none is read where its length is announced, else as many as it takes to know."""
    pieces = 0
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        nonlocal pieces
        pieces += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": pieces < 1000}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/text", "query_string": b"",
        "headers": [(b"content-type", b"application/json"), *headers],
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert (sent[0]["status"], pieces) == (413, taken)


def test_the_request_id_goes_to_the_runner_and_into_the_log(
    client: TestClient, logged: Callable[[], list[tuple[str | None, str]]]
) -> None:
    for path in ("/id", "/thread-id"):
        response = client.get(path, headers={"x-request-id": "abc-1"})
        assert (response.json(), response.headers["x-request-id"]) == ("abc-1", "abc-1")
    assert ("abc-1", "working") in logged()
    assert ("abc-1", "GET /id 200") in logged()
    with client.websocket_connect("/ws/id", headers={"x-request-id": "abc-2"}) as socket:
        assert socket.receive_text() == "abc-2"
    assert ("abc-2", "WEBSOCKET /ws/id 101") in logged()


@pytest.mark.parametrize("origin", ["https://other.example", "http://[", "null"])
def test_a_page_whose_websocket_is_refused_is_logged_with_the_status_that_it_gets(
    client: TestClient, logged: Callable[[], list[tuple[str | None, str]]], origin: str
) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as refused,
        client.websocket_connect("/ws/id", headers={"origin": origin, "x-request-id": "abc-3"}),
    ):
        pass
    assert refused.value.status_code == 403
    assert ("abc-3", "WEBSOCKET /ws/id 403") in logged()
