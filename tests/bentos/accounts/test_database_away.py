"""The database is killed, frozen and restarted under 16 callers: all are answered or told to come again, and no write is lost."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from httpx import Response

from bentos.accounts.settings import AccountsSettings
from stores.local_server import LocalServer
from tests.bentos.accounts.conftest import QUICK, Api, Tokens, serving

pytestmark = pytest.mark.slow

CALLERS, WRITES = 16, 1000
HANG_SECONDS = 240


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalServer]:
    server = LocalServer(tmp_path / "postgres")
    with server.running(HANG_SECONDS, tmp_path / "postgres.log"):
        yield server


@pytest.fixture
def api(server: LocalServer) -> Iterator[Api]:
    yield from serving(server.url(), AccountsSettings(**{**QUICK.model_dump(), "max_garments": 100_000}))


def postmaster(server: LocalServer) -> psutil.Process:
    return psutil.Process(int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0]))


def kill(server: LocalServer) -> None:
    postmaster(server).kill()


def restart(server: LocalServer) -> None:
    postmaster(server).send_signal(signal.SIGINT)


def freeze(server: LocalServer) -> None:
    main = postmaster(server)
    family = [main, *main.children(recursive=True)]
    for process in family:
        os.kill(process.pid, signal.SIGSTOP)
    time.sleep(4)
    for process in family:
        os.kill(process.pid, signal.SIGCONT)


@pytest.mark.parametrize("happens", [kill, restart, freeze], ids=lambda happens: happens.__name__)
def test_what_was_acknowledged_is_there(api: Api, server: LocalServer, happens: Callable[[LocalServer], None]) -> None:
    api.register()
    ada = api.sign_in()
    acknowledged: list[str] = []
    others: list[Response] = []
    refused = [0]
    enough = threading.Event()

    def write(caller: int) -> None:
        number = 0
        while not enough.is_set():
            number += 1
            title = f"garment {caller}-{number}"
            answer = api.client.post("/wardrobe", json={"category": "tops", "title": title}, headers=ada.headers)
            if answer.status_code == 201:
                acknowledged.append(title)
            elif answer.status_code == 503 and answer.headers["retry-after"]:
                refused[0] += 1
            else:
                others.append(answer)

    threads = [threading.Thread(target=write, args=(caller,)) for caller in range(CALLERS)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: len(acknowledged) >= WRITES // 2)
        happens(server)
        wait_until(lambda: len(acknowledged) >= WRITES)
    finally:
        enough.set()
        for thread in threads:
            thread.join()
    assert not others, others[0].text
    assert api.client.get("/health").json()["state"] == "ready", "the pool is back by itself"
    assert set(acknowledged) <= set(titles(api, ada)), f"{len(acknowledged)} acknowledged, {refused[0]} refused"
    assert refused[0] or happens is restart, "it happened while they called"


def test_health_says_that_the_database_is_away(api: Api, server: LocalServer) -> None:
    main = postmaster(server)
    family = [main, *main.children(recursive=True)]
    for process in family:
        os.kill(process.pid, signal.SIGSTOP)
    answer = api.client.get("/health")
    for process in family:
        os.kill(process.pid, signal.SIGCONT)
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["the database does not answer"]
    assert answer.elapsed.total_seconds() < HANG_SECONDS
    wait_until(lambda: api.client.get("/health").status_code == 200)


def titles(api: Api, who: Tokens) -> list[str]:
    found: list[str] = []
    after = None
    while True:
        params = {"limit": 200} | ({"after": after} if after else {})
        page = api.client.get("/wardrobe", params=params, headers=who.headers).json()
        found += [garment["title"] for garment in page["garments"]]
        after = page["after"]
        if after is None:
            return found


def wait_until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + HANG_SECONDS
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)
