"""A cache of bytes with an age limit: in Redis, which replicas share, or in this process where no Redis is named.

Nothing in it is missed when it is lost. So Redis may be away: every question to it ends within a fraction of a second, none is
asked for a moment after one has failed, and callers go on without.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar, cast

from cachetools import TTLCache
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from aura.errors import SettingsError
from aura.uri_secrets import without_secrets

logger = logging.getLogger("aura.stores")

_LIMIT_SECONDS = 0.25
"""Limit of a question to Redis, which takes a millisecond: a frozen Redis accepts connections and never answers."""
_CONNECTIONS = 16
_ENTRY_BYTES = 512
"""What a key and the bookkeeping of an entry take in memory, about."""

T = TypeVar("T")


class Cache(Protocol):
    """Values by key, each for a while; one that is missing may never have been there."""

    async def get(self, key: str) -> bytes | None: ...

    async def put(self, key: str, value: bytes) -> None: ...

    async def problems(self) -> list[str]:
        """Why nothing is kept at the moment, in words for callers; asks, unless a question has just failed."""
        ...

    async def close(self) -> None: ...


def open_cache(url: str, *, seconds: int, memory_bytes: int) -> Cache:
    """The cache at a URL (`redis://`, `rediss://` or `unix://`); without one, in this process.

    Args:
        seconds: how long a value is kept.
        memory_bytes: what values may take in this process; in Redis its own `maxmemory` bounds them.

    Raises:
        SettingsError: the URL is none of Redis.
    """
    return RedisCache(url, seconds=seconds) if url else MemoryCache(seconds=seconds, max_bytes=memory_bytes)


class MemoryCache:
    """Least recently used values go first when there is no room."""

    def __init__(self, *, seconds: int, max_bytes: int) -> None:
        self._values: TTLCache[str, bytes] = TTLCache(
            max_bytes, seconds, getsizeof=lambda value: len(value) + _ENTRY_BYTES
        )

    async def get(self, key: str) -> bytes | None:
        return self._values.get(key)

    async def put(self, key: str, value: bytes) -> None:
        if len(value) + _ENTRY_BYTES <= self._values.maxsize:
            self._values[key] = value

    async def problems(self) -> list[str]:
        return []

    async def close(self) -> None:
        self._values.clear()


class RedisCache:
    """Values in Redis. While it is away there are none, and what is put is dropped.

    Args:
        pause_seconds: after a failure none is asked; then one question tries again, and the others go on without until it
            has been answered.
    """

    def __init__(self, url: str, *, seconds: int, pause_seconds: float = 1.0) -> None:
        try:
            # The library's own retries would keep a caller waiting; `_ask` decides when Redis is tried again.
            pool = BlockingConnectionPool.from_url(
                url, max_connections=_CONNECTIONS, timeout=_LIMIT_SECONDS, socket_timeout=_LIMIT_SECONDS,
                socket_connect_timeout=_LIMIT_SECONDS, retry=Retry(NoBackoff(), 0),
            )  # fmt: skip
        except ValueError as error:
            raise SettingsError(
                f"AURA_REDIS_URL is {without_secrets(url)!r}, which is no address of Redis: {error}",
                hint="write redis://HOST:6379/0, rediss://... with TLS, or unix:///PATH; without it, nothing is shared",
            ) from None
        self._redis = Redis.from_pool(pool)
        self._seconds, self._pause_seconds = seconds, pause_seconds
        self._away = False
        self._ask_again_at = 0.0

    async def get(self, key: str) -> bytes | None:
        # The library's type has text too, for clients that decode.
        return await self._ask(lambda: cast(Awaitable[bytes | None], self._redis.get(key)))

    async def put(self, key: str, value: bytes) -> None:
        await self._ask(lambda: self._redis.set(key, value, ex=self._seconds))

    async def problems(self) -> list[str]:
        await self._ask(self._redis.ping)
        return ["answers are not kept for the next caller: Redis does not answer"] * self._away

    async def close(self) -> None:
        await self._redis.aclose()

    async def _ask(self, question: Callable[[], Awaitable[T]]) -> T | None:
        """Redis' answer; None while it is away."""
        if self._away:
            if time.monotonic() < self._ask_again_at:
                return None
            self._ask_again_at = time.monotonic() + self._pause_seconds  # others go on without meanwhile
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                answer = await question()
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            if not self._away:
                logger.warning("going on without Redis: %s: %s", type(error).__name__, without_secrets(str(error)))
            self._away = True
            self._ask_again_at = time.monotonic() + self._pause_seconds
            return None
        if self._away:
            logger.info("Redis is back")
            self._away = False
        return answer
