"""A service under load while its Redis is killed, frozen and started again: every request is answered, nothing is restarted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from fastapi.testclient import TestClient

from tests.bentos.stub_services import stub_client
from tests.stores.redis_server import RedisServer, redis_server

HANG_SECONDS = 60
CALLERS = 8


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def until(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + HANG_SECONDS
    while not condition():
        assert time.monotonic() < limit, "it never came to be"
        time.sleep(0.02)


def test_every_request_is_answered_whatever_becomes_of_redis(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AURA_REDIS_URL", server.url)
    ended = Event()
    numbers = count()

    def ask(client: TestClient) -> set[int]:
        """Questions of which some are new and some are not."""
        statuses = set()
        while not ended.is_set():
            query = f"navy {next(numbers) % 50}"
            statuses.add(client.post("/rag/query", json={"query": query, "k": 2}).status_code)
        return statuses

    def state(client: TestClient) -> tuple[str, bool]:
        health = client.get("/health").json()
        return health["state"], any("Redis" in reason for reason in health["reasons"])

    with stub_client("conversational_ai") as client, ThreadPoolExecutor(CALLERS) as callers:
        try:
            asking = [callers.submit(ask, client) for _ in range(CALLERS)]
            until(lambda: kept(server) > 0)
            for end, come_back in ((server.kill, server.start), (server.freeze, server.thaw)):
                end()
                until(lambda: state(client) == ("degraded", True))
                asked = next(numbers)
                until(lambda: next(numbers) > asked + 100)  # noqa: B023 - called in this turn only
                come_back()
                until(lambda: state(client) == ("ready", False))
                until(lambda: kept(server) > 0)
        finally:
            ended.set()
        assert set().union(*(caller.result() for caller in asking)) == {200}


def kept(server: RedisServer) -> int:
    with server.client() as client:
        return int(client.dbsize())
