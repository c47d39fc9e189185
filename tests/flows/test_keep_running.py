"""Servers that run side by side: each lives and dies alone. Real processes that answer HTTP."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from filelock import FileLock

from aura.creation import unfinished
from aura.errors import StartError
from flows.keep_running import KeepRunning, Server
from flows.processes import free_port

HANG_SECONDS = 60
SERVER = """
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
mended, port = sys.argv[1:]
print("starting", flush=True)
if not os.path.exists(mended):
    sys.exit("nothing to serve")

class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(os.getpid()).encode())

HTTPServer(("127.0.0.1", int(port)), Answer).serve_forever()
"""


def a_server(folder: Path, name: str, *, starts: bool) -> Server:
    port = free_port()
    if starts:
        (folder / name).touch()
    url = f"http://127.0.0.1:{port}"
    return Server(
        name=name, command=[sys.executable, "-c", SERVER, str(folder / name), str(port)], environment=dict(os.environ),
        log=folder / "logs" / f"{name}.log", health_url=url, page=f"{url}/docs",
    )  # fmt: skip


def pid_of(server: Server) -> int:
    """Id of the process that answers."""
    limit = time.monotonic() + HANG_SECONDS
    while True:
        try:
            return int(httpx.get(server.health_url, timeout=60, trust_env=False).text)
        except httpx.TransportError:
            assert time.monotonic() < limit, f"{server.name} does not answer"
            time.sleep(0.1)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def run(said: list[str]) -> Iterator[Callable[..., KeepRunning]]:
    """Keeps servers running until the test has ended."""
    kept: list[KeepRunning] = []

    def begin(*servers: Server) -> KeepRunning:
        kept.append(KeepRunning(servers, HANG_SECONDS, said.append, pause_seconds=0.1))
        return kept[-1]

    yield begin
    for one in kept:
        one.stop()


def test_one_that_cannot_start_leaves_the_others_and_comes_when_it_can(
    tmp_path: Path, run: Callable[..., KeepRunning], said: list[str]
) -> None:
    good, bad = a_server(tmp_path, "good", starts=True), a_server(tmp_path, "bad", starts=False)
    run(good, bad).start()
    assert f"good: {good.page}" in said
    [told] = [text for text in said if text.startswith("bad ended with code 1")][:1]
    assert "nothing to serve" in told
    assert str(bad.log) in told
    before = pid_of(good)
    (tmp_path / "bad").touch()
    assert pid_of(bad)
    assert pid_of(good) == before
    assert bad.log.read_text(encoding="utf-8").count("starting") > 1, "the log of a start that failed is kept"


def test_one_that_is_killed_is_started_again(tmp_path: Path, run: Callable[..., KeepRunning]) -> None:
    first, second = a_server(tmp_path, "first", starts=True), a_server(tmp_path, "second", starts=True)
    run(first, second).start()
    killed, other = pid_of(first), pid_of(second)
    os.kill(killed, signal.SIGKILL)
    limit = time.monotonic() + HANG_SECONDS
    while pid_of(first) == killed:
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert pid_of(second) == other


def test_when_none_answers_it_is_an_error(tmp_path: Path, run: Callable[..., KeepRunning], said: list[str]) -> None:
    servers = [a_server(tmp_path, name, starts=False) for name in ("one", "two")]
    with pytest.raises(StartError, match="one, two"):
        run(*servers).start()
    assert len([text for text in said if "nothing to serve" in text]) >= 2


def test_a_store_belongs_to_the_server_that_makes_it_until_it_answers(
    tmp_path: Path, run: Callable[..., KeepRunning], said: list[str]
) -> None:
    store = tmp_path / "store.db"
    good, bad = (replace(a_server(tmp_path, name, starts=name == "good"), store=store) for name in ("good", "bad"))
    with FileLock(store.with_name(f".{store.name}.lock")):  # another process makes it
        waiting = KeepRunning([good], 0.1, said.append, pause_seconds=0.1)
        with pytest.raises(StartError):
            waiting.start()
        waiting.stop()
    assert said[0].startswith("good cannot start: another process")
    with pytest.raises(StartError):
        run(bad).start()
    assert unfinished(store).exists(), "it ended before it answered, and the store may be half made"
    (tmp_path / "bad").touch()
    assert pid_of(bad)
    limit = time.monotonic() + HANG_SECONDS
    while unfinished(store).exists():
        assert time.monotonic() < limit
        time.sleep(0.1)


def test_a_stop_ends_all_also_one_that_is_waited_for(tmp_path: Path, said: list[str]) -> None:
    good, bad = a_server(tmp_path, "good", starts=True), a_server(tmp_path, "bad", starts=False)
    running = KeepRunning([good, bad], HANG_SECONDS, said.append, pause_seconds=3600)
    running.start()
    running.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(good.health_url, timeout=60, trust_env=False)


def test_a_command_that_is_not_there_is_told(tmp_path: Path, run: Callable[..., KeepRunning], said: list[str]) -> None:
    good = a_server(tmp_path, "good", starts=True)
    nothing = Server(
        name="nothing", command=[str(tmp_path / "no-such-program")], environment={}, log=tmp_path / "nothing.log",
        health_url=good.health_url.replace("127.0.0.1", "127.0.0.2"), page="",
    )  # fmt: skip
    run(good, nothing).start()
    assert [text for text in said if text.startswith("nothing cannot start")]
    assert pid_of(good)


@pytest.mark.timeout(HANG_SECONDS)
def test_a_log_that_cannot_be_used_is_told(tmp_path: Path, run: Callable[..., KeepRunning], said: list[str]) -> None:
    server = a_server(tmp_path, "good", starts=True)
    with pytest.raises(StartError):
        run(replace(server, log=tmp_path / f"{'x' * 300}.log")).start()
    assert said[0].startswith("good cannot start: ")


@pytest.mark.timeout(HANG_SECONDS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_server_that_is_no_longer_kept(tmp_path: Path) -> None:
    def say(_: str) -> None:
        raise BrokenPipeError("the terminal has gone")

    running = KeepRunning([a_server(tmp_path, "good", starts=True)], HANG_SECONDS, say)
    with pytest.raises(StartError):
        running.start()
    running.stop()
