"""The front door with real servers behind it: they change, and no request is lost."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from aiohttp import WSMsgType, web
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from flows.front_door import FrontDoor
from flows.processes import free_port


class Backend:
    """A server that says its name; `/slow` waits until it may answer."""

    def __init__(self, name: str) -> None:
        self.name, self.port = name, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.may_answer, self.left, self.entered = threading.Event(), threading.Event(), threading.Event()
        self.seen: list[dict[str, str]] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self) -> None:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(30)

    def stop(self) -> None:
        """End at once, as a server does that has nothing under way."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)

    @property
    def runs(self) -> bool:
        """Whether it was started and not stopped."""
        return self._thread.is_alive()

    async def _start(self) -> None:
        app = web.Application(client_max_size=10**8)
        app.router.add_get("/ws", self._talk)
        app.router.add_get("/refused", self._refuse)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append({key.lower(): value for key, value in request.headers.items()} | {"path": request.raw_path})
        body = await request.read()
        if request.path == "/slow":
            self.entered.set()
            try:
                while not self.may_answer.is_set():
                    await asyncio.sleep(0.005)
            except asyncio.CancelledError:
                self.left.set()
                raise
        headers = {"x-name": self.name, "x-length": str(len(body))}
        return web.Response(text=self.name, status=418 if request.path == "/teapot" else 200, headers=headers)

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        talk = web.WebSocketResponse(protocols=("aura",))
        self.seen.append({key.lower(): value for key, value in request.headers.items()})
        await talk.prepare(request)
        async for message in talk:
            if message.type is WSMsgType.TEXT:
                await talk.send_str(f"{self.name}: {message.data}")
                if message.data == "bye":
                    await talk.close(code=4001)
        return talk

    async def _refuse(self, _: web.Request) -> web.Response:
        return web.Response(status=403)


@pytest.fixture
def backend() -> Iterator[Callable[[str], Backend]]:
    started: list[Backend] = []

    def start(name: str) -> Backend:
        started.append(Backend(name))
        started[-1].start()
        return started[-1]

    yield start
    for each in started:
        if each.runs:
            each.stop()


@pytest.fixture
def blue(backend: Callable[[str], Backend]) -> Backend:
    return backend("blue")


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def door(blue: Backend, port: int) -> Iterator[FrontDoor]:
    opened = FrontDoor("127.0.0.1", {"shop": port}, {"shop": blue.url})
    opened.open()
    yield opened
    opened.close()


@pytest.fixture
def client(door: FrontDoor, port: int) -> Iterator[httpx.Client]:
    assert door is not None
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
        yield client


def test_a_request_and_its_answer_pass_unchanged(client: httpx.Client, blue: Backend, port: int) -> None:
    answer = client.post("/a%2Fb/c?x=1%202&y", content=b"x" * 3_000_000, headers={"x-request-id": "abc-1"})
    assert (answer.status_code, answer.text, answer.headers["x-length"]) == (200, "blue", "3000000")
    [seen] = blue.seen
    assert (seen["path"], seen["x-request-id"]) == ("/a%2Fb/c?x=1%202&y", "abc-1")
    assert (seen["host"], seen["x-forwarded-for"]) == (f"127.0.0.1:{port}", "127.0.0.1")
    assert client.get("/teapot").status_code == 418
    assert client.head("/").headers["x-name"] == "blue"


def test_servers_change_under_load_and_no_request_is_lost(
    door: FrontDoor, port: int, blue: Backend, backend: Callable[[str], Backend]
) -> None:
    done, answers = threading.Event(), []

    def ask() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as client:
            while not done.is_set():
                answers.append(client.post("/", content=b"a question").status_code)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    before, names = blue, set()
    for number in range(10):
        after = backend(f"green {number}")
        door.switch({"shop": after.url}, drain_seconds=30)
        before.stop()
        names.add(httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text)
        before = after
    done.set()
    for thread in threads:
        thread.join()
    assert set(answers) == {200}
    assert len(answers) > 10
    assert names == {f"green {number}" for number in range(10)}


def test_an_answer_that_is_under_way_ends_at_the_server_that_began_it(
    door: FrontDoor, client: httpx.Client, blue: Backend, backend: Callable[[str], Backend]
) -> None:
    got: list[str] = []
    asking = threading.Thread(target=lambda: got.append(client.get("/slow").text))
    asking.start()
    assert blue.entered.wait(30)
    green = backend("green")
    switching = threading.Thread(target=door.switch, args=({"shop": green.url}, 60.0))
    switching.start()
    while client.get("/").text != "green":
        pass
    assert switching.is_alive(), "it waits for the answer"
    blue.may_answer.set()
    switching.join(30)
    asking.join(30)
    assert got == ["blue"]
    assert not switching.is_alive()


def test_an_answer_that_takes_too_long_does_not_keep_the_old_server(
    door: FrontDoor, client: httpx.Client, blue: Backend, backend: Callable[[str], Backend],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    asking = threading.Thread(target=client.get, args=("/slow",))
    asking.start()
    assert blue.entered.wait(30)
    door.switch({"shop": backend("green").url}, drain_seconds=0.05)
    assert "have not ended within" in caplog.text
    blue.may_answer.set()
    asking.join(30)


def test_conversations_pass_and_are_told_to_come_again(
    door: FrontDoor, port: int, backend: Callable[[str], Backend]
) -> None:
    url = f"ws://127.0.0.1:{port}/ws"
    with connect(url, proxy=None) as talk, connect(url, proxy=None) as idle:
        talk.send("hello")
        assert talk.recv(timeout=60) == "blue: hello"
        door.switch({"shop": backend("green").url}, drain_seconds=30)
        for each in (talk, idle):
            with pytest.raises(ConnectionClosed) as closed:
                each.recv(timeout=60)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "try again")
    with connect(url, proxy=None) as again:
        again.send("bye")
        assert again.recv(timeout=60) == "green: bye"
        with pytest.raises(ConnectionClosed) as closed:
            again.recv(timeout=60)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001
    with pytest.raises(InvalidStatus) as refused, connect(url.replace("/ws", "/refused"), proxy=None):
        pass
    assert refused.value.response.status_code == 403


def test_a_caller_that_leaves_ends_its_request_at_the_server_too(door: FrontDoor, port: int, blue: Backend) -> None:
    assert door is not None
    with socket.create_connection(("127.0.0.1", port)) as caller:
        caller.sendall(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        assert blue.entered.wait(30)
    assert blue.left.wait(30)


def test_a_server_that_is_away_is_a_bad_gateway(client: httpx.Client, blue: Backend) -> None:
    blue.stop()
    assert client.get("/").status_code == 502


def test_a_port_that_is_taken_is_an_error(blue: Backend) -> None:
    taken: Any = FrontDoor("127.0.0.1", {"shop": blue.port}, {"shop": blue.url})
    with pytest.raises(OSError, match="in use"):
        taken.open()
    taken.close()


@pytest.mark.usefixtures("door")
def test_a_subprotocol_is_offered_and_taken_through_the_door(blue: Backend, port: int) -> None:
    """A browser's token is among them, and it ends a conversation for which none was taken."""
    with connect(f"ws://127.0.0.1:{port}/ws", subprotocols=["aura", "aura.bearer.x.y.z"], proxy=None) as socket:
        assert socket.subprotocol == "aura"
    offered = blue.seen[-1]["sec-websocket-protocol"]
    assert [name.strip() for name in offered.split(",")] == ["aura", "aura.bearer.x.y.z"]
    with connect(f"ws://127.0.0.1:{port}/ws", proxy=None) as socket:
        assert socket.subprotocol is None
