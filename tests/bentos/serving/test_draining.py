"""What a process does between SIGTERM and its end, asked of a real one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from aura.paths import repo_root
from flows.processes import free_port

SERVER = """
import asyncio, contextlib, sys
import uvicorn
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from bentos.serving.draining import drain_on_sigterm

seconds = float(sys.argv[2])
under_way = set()

async def work(request):
    task = asyncio.current_task()
    under_way.add(task)
    await asyncio.sleep(1)
    under_way.discard(task)
    return PlainTextResponse("whole")

async def socket(websocket):
    await websocket.accept()
    await websocket.send_text("hello")
    await asyncio.sleep(1)
    await websocket.send_text("whole")
    await websocket.close(1012)

async def drain():
    while under_way:
        await asyncio.sleep(0.01)
    await asyncio.sleep(float(sys.argv[3]))

@contextlib.asynccontextmanager
async def lifespan(app):
    drain_on_sigterm(drain, seconds)
    yield

app = Starlette(routes=[Route("/", work), WebSocketRoute("/ws", socket)], lifespan=lifespan)
uvicorn.run(app, port=int(sys.argv[1]), log_level="warning")
"""


@contextmanager
def served(limit_seconds: float, drain_seconds: float) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    port = free_port()
    command = [sys.executable, "-c", SERVER, str(port), str(limit_seconds), str(drain_seconds)]
    process = subprocess.Popen(command, cwd=repo_root())
    url = f"127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://{url}/nothing", trust_env=False)
                break
            except httpx.ConnectError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        yield process, url
    finally:
        process.kill()
        process.wait()


def test_what_is_under_way_ends_whole_over_http_and_over_a_websocket() -> None:
    with served(60, 2) as (process, url), ThreadPoolExecutor() as pool, connect(f"ws://{url}/ws", proxy=None) as socket:
        assert socket.recv(timeout=60) == "hello"
        answer = pool.submit(httpx.get, f"http://{url}/", trust_env=False, timeout=60)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert answer.result(60).text == "whole"
        # uvicorn alone would have closed it before this.
        assert socket.recv(timeout=60) == "whole"
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=60)
        assert socket.close_code == 1012
        assert process.wait(60) in (0, -signal.SIGTERM)


def test_a_drain_that_takes_too_long_does_not_hold_the_process() -> None:
    with served(0.1, 10_000) as (process, _):
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) in (0, -signal.SIGTERM)
