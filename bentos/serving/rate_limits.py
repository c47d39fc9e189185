"""How often one caller may ask: counted per address in a sliding window, by the library `limits`.

Counts are kept in Redis, for all workers and replicas together, or in the process. While Redis is away each process counts for
itself. Behind a proxy a caller's address is what the proxy says, where uvicorn trusts it (`FORWARDED_ALLOW_IPS`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string
from starlette.types import ASGIApp, Receive, Scope, Send

from bentos.serving.admission import is_work
from bentos.serving.errors import RateLimitError, error_response
from bentos.serving.request_log import logger
from bentos.serving.settings import ServingSettings

_REDIS_SECONDS = 0.25
"""For an answer of Redis: a counter is not worth a longer wait."""
_AWAY_SECONDS = 5.0
"""For which Redis is not asked after it did not answer."""


class CallerLimits:
    """Counts requests per caller.

    Args:
        limits: in the words of `limits`, for example `20/second; 600/minute`.
        redis_url: where they are counted; empty: in this process.
    """

    def __init__(self, limits: str, redis_url: str = "") -> None:
        self._limits = parse_many(limits)
        self._own = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._shared = SlidingWindowCounterRateLimiter(_redis_storage(redis_url)) if redis_url else None
        self._away_until = 0.0

    async def count(self, caller: str) -> None:
        """Count a request.

        Raises:
            RateLimitError: the caller has made as many as a limit allows.
        """
        if self._shared is not None and time.monotonic() >= self._away_until:
            try:
                await self._count(self._shared, caller)
            except StorageError as error:
                self._away_until = time.monotonic() + _AWAY_SECONDS
                logger.warning("requests of callers are counted in this process alone: Redis is away: %r", error)
            else:
                return
        await self._count(self._own, caller)

    async def _count(self, counter: SlidingWindowCounterRateLimiter, caller: str) -> None:
        for limit in self._limits:
            if not await counter.hit(limit, caller):
                seconds = await _seconds_until_free(counter, limit, caller)
                raise RateLimitError(f"one address may make {limit} requests", retry_seconds=seconds)


class RateLimits:
    """Refuses the requests of a caller who makes too many; health checks do not count."""

    def __init__(self, app: ASGIApp, settings: Callable[[], ServingSettings]) -> None:
        """Args:
        settings: called at each request, because settings are not read at import.
        """
        self._app = app
        self._settings = settings
        self._limits: CallerLimits | None = None
        self._made_for: ServingSettings | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        limits = self._current()
        if limits is not None and is_work(scope):
            try:
                await limits.count(_caller(scope))
            except RateLimitError as error:
                await error_response(error)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _current(self) -> CallerLimits | None:
        settings = self._settings()
        if settings is not self._made_for:
            self._limits = CallerLimits(settings.rate_limits, settings.redis_url) if settings.rate_limits else None
            self._made_for = settings
        return self._limits


def _redis_storage(url: str) -> Storage:
    storage = storage_from_string(
        f"async+{url}", implementation="redispy", wrap_exceptions=True,
        socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS,
    )  # fmt: skip
    assert isinstance(storage, Storage), "async+ gives an asynchronous one"
    return storage


async def _seconds_until_free(counter: SlidingWindowCounterRateLimiter, limit: RateLimitItem, caller: str) -> int:
    reset = (await counter.get_window_stats(limit, caller)).reset_time
    return max(1, math.ceil(reset - time.time()))


def _caller(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else "unknown"
