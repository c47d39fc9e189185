"""How often somebody may try a password, without locking anybody out.

Two counts. Per network address: who tries the passwords of many. Per account: who tries many passwords of one; there a network
that has signed in to the account lately has a count of its own, and all others share one, so that a guesser elsewhere uses up
nothing of the owner's (OWASP's "device cookies", with the network in the cookie's place). The window of a count moves, and what
is behind it is forgotten.

They are kept in Redis, for all replicas, where `AURA_REDIS_URL` names one; else, and while it is away, in this process.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError
from limits.storage import storage_from_string

from bentos.accounts.settings import AccountsSettings
from bentos.serving.errors import TooManyAttemptsError
from bentos.serving.request_log import logger
from stores.sessions import Network

_REDIS_SECONDS = 0.5
"""A frozen Redis accepts connections and never answers."""
_LOCAL = ipaddress.ip_network("127.0.0.0/24")
_PREFIX = {4: 24, 6: 56}
"""Length in bits of what is remembered of an address: no more than it takes to know a place again."""
_HOUSEHOLD = 64
"""Length in bits of what a household has of IPv6: within it an address is chosen freely."""


def network_of(address: str) -> Network:
    """The network that an address is in; of what is no IP address (a socket, a test), this machine."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return _LOCAL
    return ipaddress.ip_network((parsed, _PREFIX[parsed.version]), strict=False)


class SignInLimits:
    """Counts attempts.

    Args:
        settings: how many there may be.
        redis_url: where they are counted for all replicas; empty: in this process.
    """

    def __init__(self, settings: AccountsSettings, redis_url: str = "") -> None:
        self._per_address, self._per_name = parse(settings.attempts_per_address), parse(settings.attempts_per_name)
        self._here = MovingWindowRateLimiter(MemoryStorage())
        self._shared = MovingWindowRateLimiter(_redis(redis_url)) if redis_url else None

    async def count_address(self, address: str) -> None:
        """Count an attempt from an address.

        Raises:
            TooManyAttemptsError: there were too many.
        """
        await self._count(self._per_address, "address", _counted_address(address))

    async def count_name(self, name: str, known: Network | None) -> None:
        """Count an attempt at an account.

        Args:
            known: the network, if the account was signed in to from there lately.

        Raises:
            TooManyAttemptsError: there were too many.
        """
        await self._count(self._per_name, "name", name, str(known) if known else "elsewhere")

    async def _count(self, limit: RateLimitItem, *identifiers: str) -> None:
        seconds = await self._seconds_to_wait(limit, *identifiers)
        if seconds:
            raise TooManyAttemptsError("too many attempts", retry_seconds=seconds)

    async def _seconds_to_wait(self, limit: RateLimitItem, *identifiers: str) -> int:
        if self._shared:
            try:
                async with asyncio.timeout(_REDIS_SECONDS):
                    return await _counted(self._shared, limit, *identifiers)
            except (StorageError, TimeoutError) as error:
                logger.warning("attempts are counted in this process: %r", error)
        return await _counted(self._here, limit, *identifiers)


async def _counted(limiter: MovingWindowRateLimiter, limit: RateLimitItem, *identifiers: str) -> int:
    """Count an attempt; seconds until the next one is admitted, 0 when this one is."""
    if await limiter.hit(limit, *identifiers):
        return 0
    stats = await limiter.get_window_stats(limit, *identifiers)
    return max(1, math.ceil(stats.reset_time - time.time()))


def _counted_address(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, _HOUSEHOLD), strict=False))


def _redis(url: str) -> Storage:
    scheme = "async+redis+" if url.startswith("unix:") else "async+"
    storage = storage_from_string(f"{scheme}{url}", wrap_exceptions=True, implementation="redispy")
    assert isinstance(storage, Storage)
    return storage
