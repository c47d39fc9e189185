"""Answers that were given before: an equal question to the same release is computed once.

An answer is kept under a hash of the question and of all that the runner says it answers from, so that a new release begins
with an empty cache and the one before still has its own after a rollback. Equal questions at the same time wait for one answer.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeVar, cast

from pydantic import ValidationError

from bentos.serving.assets import Assets
from bentos.serving.errors import NotReadyError
from bentos.serving.messages import ReleasedBody, Status
from bentos.serving.metrics import CACHE_LOOKUPS
from bentos.serving.release_header import note_release
from bentos.serving.request_log import logger
from stores.redis import Cache, open_cache

_MOST_BYTES = 256_000
"""Size limit of an answer; a larger one is not kept."""
_NO_RELEASE = {"degraded"}
"""What a status says besides the release."""

Answer = TypeVar("Answer", bound=ReleasedBody)


class AnswerCache:
    """Keeps the answers of one service.

    Args:
        cache: where they are kept; None: nowhere, and each is computed.
        profile: of the service; version 1 of a model is another one there.
        ask_status: asks the runner what it answers from, for example `Readiness.status`.
        status_seconds: how old its word may be.
    """

    def __init__(
        self,
        cache: Cache | None,
        profile: str,
        ask_status: Callable[[], Awaitable[Status]],
        status_seconds: float = 1.0,
    ) -> None:
        self._cache, self._profile, self._ask_status = cache, profile, ask_status
        self._status_seconds = status_seconds
        self._under_way: dict[str, _Computation] = {}
        self._status: Status | None = None
        self._status_until = 0.0

    @classmethod
    def of(cls, assets: Assets, ask_status: Callable[[], Awaitable[Status]]) -> Self:
        """The cache as the settings say, which may switch it off.

        Raises:
            SettingsError: `AURA_REDIS_URL` is no address of Redis.
        """
        serving = assets.serving
        seconds = serving.cache_seconds
        cache = open_cache(serving.redis_url, seconds=seconds, memory_bytes=serving.cache_bytes) if seconds else None
        return cls(cache, assets.profile, ask_status)

    async def problems(self) -> list[str]:
        """Why answers are not kept, in words for callers."""
        return await self._cache.problems() if self._cache else []

    async def answer(
        self, endpoint: str, question: bytes, kind: type[Answer], compute: Callable[[], Coroutine[Any, Any, Answer]]
    ) -> Answer:
        """The answer to a question, computed unless it is known; cancelled when all that wait for it have gone.

        Args:
            endpoint: name of what is asked.
            question: all that the answer depends on besides the release.

        Raises:
            Exception: what `compute` raises; it is not kept.
        """
        cache = self._cache
        if cache is None:
            return await compute()
        try:
            status = await self._current_status()
        except NotReadyError:
            return await compute()  # which says so in its own way
        key = answer_key(endpoint, question, f"{self._profile} {release_of(status)}", kind)

        async def found_or_computed() -> Answer:
            if (kept := await cache.get(key)) is not None and (known := _read(kept, kind)) is not None:
                CACHE_LOOKUPS.labels(endpoint, "hit").inc()
                return known
            CACHE_LOOKUPS.labels(endpoint, "miss").inc()
            answer = await compute()
            written = answer.model_dump_json().encode()
            if len(written) <= _MOST_BYTES and _made_by(answer, status):
                await cache.put(key, written)
            return answer

        if key in self._under_way:
            CACHE_LOOKUPS.labels(endpoint, "shared").inc()
        answer = await self._shared(key, found_or_computed)
        note_release(answer.release)  # each caller's own, however many wait for one answer
        return answer

    async def _current_status(self) -> Status:
        """What the runner answers from; asked when its last word is too old."""
        now = asyncio.get_running_loop().time()
        if self._status is None or now >= self._status_until:
            self._status = await self._ask_status()
            self._status_until = now + self._status_seconds
        return self._status

    async def _shared(self, key: str, compute: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        computation = self._under_way.get(key)
        if computation is None:
            computation = self._under_way[key] = _Computation(asyncio.ensure_future(compute()))
        computation.waiting += 1
        try:
            return cast(Answer, await asyncio.shield(computation.task))
        finally:
            computation.waiting -= 1
            if not computation.waiting:
                del self._under_way[key]
                computation.task.cancel()


@dataclass
class _Computation:
    """An answer that is being computed, and how many wait for it."""

    task: asyncio.Future[Any]
    waiting: int = 0


def release_of(status: Status) -> str:
    """All that a runner says of what it answers from, as text."""
    return status.model_dump_json(exclude=_NO_RELEASE)


def answer_key(endpoint: str, question: bytes, release: str, kind: type[ReleasedBody]) -> str:
    """Key of an answer; another form of the answers, as another version of this code may have, is another key."""
    hashed = hashlib.sha256(question)
    hashed.update(f"\0{release}\0{_form(kind)}".encode())
    return f"aura:answer:{endpoint}:{hashed.hexdigest()}"


@functools.cache
def _form(kind: type[ReleasedBody]) -> str:
    return str(kind.model_json_schema())


def _made_by(answer: ReleasedBody, status: Status) -> bool:
    """Whether an answer comes from this release: the runner may have switched meanwhile. What both name must be equal."""
    common = type(answer).model_fields.keys() & type(status).model_fields.keys()
    return all(getattr(answer, name) == getattr(status, name) for name in common)


def _read(kept: bytes, kind: type[Answer]) -> Answer | None:
    try:
        return kind.model_validate_json(kept)
    except ValidationError:
        logger.warning("what was kept is no %s, and is computed again", kind.__name__)
        return None
