"""The cache in Redis and in memory: what it keeps, for how long, and that callers go on without Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from aura.errors import SettingsError
from stores.redis import Cache, MemoryCache, RedisCache, open_cache
from tests.stores.redis_server import RedisServer, redis_server

T = TypeVar("T")

HANG_SECONDS = 60.0
AWAY = ["answers are not kept for the next caller: Redis does not answer"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def with_cache(url: str, scenario: Callable[[Cache], Awaitable[None]], seconds: int = 60) -> None:
    async def run() -> None:
        cache = open_cache(url, seconds=seconds, memory_bytes=10_000)
        try:
            await scenario(cache)
        finally:
            await cache.close()

    asyncio.run(run())


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    limit = time.monotonic() + HANG_SECONDS
    while not await condition():
        assert time.monotonic() < limit, "it never came to be"
        await asyncio.sleep(0.02)


async def back(cache: Cache) -> None:
    async def no_problems() -> bool:
        return await cache.problems() == []

    await until(no_problems)


async def keeps_bytes_for_a_while(cache: Cache) -> None:
    assert await cache.get("a") is None
    await cache.put("a", b"\x00\xff")
    await cache.put("b", b"")
    assert (await cache.get("a"), await cache.get("b"), await cache.problems()) == (b"\x00\xff", b"", [])

    async def forgotten() -> bool:
        return await cache.get("a") is None

    await until(forgotten)


def test_redis_keeps_bytes_for_a_while(server: RedisServer) -> None:
    with_cache(server.url, keeps_bytes_for_a_while, seconds=1)


def test_memory_keeps_bytes_for_a_while() -> None:
    with_cache("", keeps_bytes_for_a_while, seconds=1)


def test_two_processes_share_what_redis_keeps(server: RedisServer) -> None:
    async def scenario(one: Cache) -> None:
        other = RedisCache(server.url, seconds=60)
        await one.put("a", b"1")
        assert await other.get("a") == b"1"
        await other.close()

    with_cache(server.url, scenario)


def test_memory_is_bounded_in_bytes_and_drops_what_was_used_last() -> None:
    async def scenario() -> None:
        cache = MemoryCache(seconds=60, max_bytes=10_000)
        await cache.put("large", b"x" * 10_000)
        assert await cache.get("large") is None, "larger than all the room"
        for name in "abcd":
            await cache.put(name, b"x" * 2_000)
        kept = [name for name in "abcd" if await cache.get(name) is not None]
        assert kept == ["b", "c", "d"]

    asyncio.run(scenario())


def test_nobody_waits_for_a_redis_that_was_killed_and_it_is_used_again_when_it_is_back(server: RedisServer) -> None:
    async def scenario(cache: Cache) -> None:
        await cache.put("a", b"1")
        server.kill()
        assert await cache.get("a") is None
        assert await cache.problems() == AWAY
        server.start()
        await back(cache)
        await cache.put("a", b"2")
        assert await cache.get("a") == b"2"

    with_cache(server.url, scenario)


def test_after_a_failure_callers_go_on_without_asking_for_a_while(server: RedisServer) -> None:
    async def scenario() -> None:
        cache = RedisCache(server.url, seconds=60, pause_seconds=HANG_SECONDS)
        server.freeze()
        assert await cache.get("a") is None, "it waited for the limit, and no longer"
        assert [without_waiting(cache.get("a")) for _ in range(50)] == [None] * 50
        without_waiting(cache.put("a", b"1"))
        assert without_waiting(cache.problems()) == AWAY
        server.thaw()
        await cache.close()

    asyncio.run(scenario())


def without_waiting(work: Coroutine[Any, Any, T]) -> T:
    """The result of work that awaits nothing."""
    try:
        work.send(None)
    except StopIteration as ended:
        result: T = ended.value
        return result
    raise AssertionError("it waits for something")


def test_a_frozen_redis_is_used_again_when_it_thaws(server: RedisServer) -> None:
    async def scenario(cache: Cache) -> None:
        await cache.put("a", b"1")
        server.freeze()
        assert await cache.get("a") is None
        assert await cache.problems() == AWAY
        server.thaw()
        await back(cache)
        assert await cache.get("a") == b"1", "a frozen Redis forgets nothing"

    with_cache(server.url, scenario)


def test_a_redis_that_was_never_there_is_said_and_found_when_it_comes(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)

    async def scenario(cache: Cache) -> None:
        await cache.put("a", b"1")
        assert await cache.problems() == AWAY
        server.start()
        await back(cache)

    try:
        with_cache(server.url, scenario)
    finally:
        server.end()


def test_a_redis_that_takes_no_more_is_away_and_says_why(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(cache: Cache) -> None:
        await cache.put("a", b"1")
        assert any("OutOfMemory" in message for message in caplog.messages), caplog.messages

    with redis_server(tmp_path, "--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        with_cache(server.url, scenario)


def test_a_password_is_used_and_never_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def kept(cache: Cache) -> None:
        await cache.put("a", b"1")
        assert await cache.get("a") == b"1"

    async def refused(cache: Cache) -> None:
        await cache.put("a", b"1")
        assert await cache.problems() == AWAY

    server = RedisServer(tmp_path)
    server.start()
    with server.client() as client:
        client.config_set("requirepass", "secret-1")
    try:
        with_cache(server.url.replace("127.0.0.1", ":secret-1@127.0.0.1"), kept)
        assert not caplog.messages
        with_cache(server.url.replace("127.0.0.1", ":secret-2@127.0.0.1"), refused)
        assert caplog.messages
        assert "secret" not in caplog.text
    finally:
        server.end()


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost:6379", "redis://:secret@host:port/0"])
def test_an_address_that_is_none_is_refused_in_words(url: str) -> None:
    with pytest.raises(SettingsError, match="AURA_REDIS_URL") as caught:
        open_cache(url, seconds=1, memory_bytes=1)
    assert "redis://HOST:6379/0" in caught.value.hint
    assert "secret" not in str(caught.value)
