"""Bentos that change as a whole, with small servers in their place: they start beside the old ones, or never serve."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from aura.artifact import write_json
from aura.errors import ServiceError
from bentos.serving.settings import ServingSettings
from flows import blue_green
from flows.blue_green import BlueGreen
from flows.keep_running import Server
from flows.processes import free_port
from flows.services import SERVICES

_SERVER = """
import http.server, sys

class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", str(len(sys.argv[2])))
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())

    def log_message(self, *_):
        pass

if sys.argv[2].endswith("dead"):
    sys.exit(3)
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""


class World:
    """The record of the packing, and what was said and started."""

    def __init__(self, folder: Path) -> None:
        self.record = folder / "metrics" / "package.json"
        self.said: list[str] = []
        self.asked: list[str] = []
        self.started: list[str] = []
        self.port = free_port()
        serving = ServingSettings(ports={"visual_analysis": self.port}, start_timeout_seconds=60)
        self.services = BlueGreen(serving, self.record, folder / "logs", self.said.append)

    def pack(self, tag: str) -> None:
        write_json(self.record, {"bentos": {"visual_analysis": {"tag": tag}}})

    def answer(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.port}/", trust_env=False, timeout=60).text


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path)

    def smoke_test(url: str) -> str:
        said = httpx.get(url, trust_env=False).text
        world.asked.append(said)
        if said.endswith("wrong"):
            raise ServiceError("it answers otherwise")
        return said

    def server(_: BlueGreen, name: str, tag: str, port: int, homes: str) -> Server:
        world.started.append(tag)
        return Server(
            name=name, command=[sys.executable, "-c", _SERVER, str(port), tag], environment={}, log=tmp_path / "log",
            health_url=f"http://127.0.0.1:{port}/", page=homes,
        )  # fmt: skip

    service = replace(SERVICES["visual_analysis"], smoke_test=smoke_test)
    monkeypatch.setattr(blue_green, "SERVICES", {"visual_analysis": service})
    monkeypatch.setattr(blue_green, "bento_whole", lambda tag: not tag.endswith("half"))
    monkeypatch.setattr(BlueGreen, "_server", server)
    yield world
    world.services.stop()


def test_what_is_packed_next_takes_over_and_the_old_one_ends(world: World) -> None:
    world.pack("visual:1")
    world.services.start()
    first = world.services._running
    assert world.answer() == "visual:1"
    world.services.look()
    assert world.started == ["visual:1"], "nothing was packed"
    world.pack("visual:2")
    world.services.look()
    assert world.answer() == "visual:2"
    assert world.asked == ["visual:1", "visual:2"], "it was asked before it served"
    assert first is not None
    with pytest.raises(httpx.ConnectError):
        httpx.get(first.urls["visual_analysis"], trust_env=False)


@pytest.mark.parametrize("fault", ["wrong", "dead", "half"])
def test_what_does_not_pass_never_serves_and_is_told_once(world: World, fault: str) -> None:
    world.pack("visual:1")
    world.services.start()
    world.pack(f"visual:2-{fault}")
    for _ in range(3):
        world.services.look()
    assert world.answer() == "visual:1"
    assert world.started == ["visual:1"] + ([] if fault == "half" else [f"visual:2-{fault}"])
    assert len([text for text in world.said if "do not serve" in text]) == (fault != "half")
    world.pack("visual:3")
    world.services.look()
    assert world.answer() == "visual:3"


def test_nothing_packed_and_a_port_that_is_taken_are_said_in_words(world: World) -> None:
    with pytest.raises(ServiceError, match="no Bentos are named by"):
        world.services.start()
    world.pack("visual:1")
    world.services.start()
    other = BlueGreen(world.services._serving, world.record, world.record.parent, print)
    try:
        with pytest.raises(ServiceError, match="cannot listen"):
            other.start()
    finally:
        other.stop()
