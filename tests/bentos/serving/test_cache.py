"""An answer is computed once per question and release, whoever asks, and whether or not there is a Redis."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aura.errors import InvalidRequestError
from bentos.serving.cache import AnswerCache
from bentos.serving.errors import NotReadyError
from bentos.serving.messages import ModelVersion, ReleasedBody, ReleaseVersions, Status
from bentos.serving.release_header import ReleaseHeader
from bentos.serving.settings import ServingSettings
from stores.redis import MemoryCache, RedisCache
from tests.bentos.stub_assets import StubAssets
from tests.stores.redis_server import redis_server

ONE, TWO = (ReleaseVersions(id=number, versions={"tiny": number}) for number in "12")
MODEL = ModelVersion(name="tiny", version="1")


class Answer(ReleasedBody):
    """Says which computation it comes from."""

    number: int
    model: ModelVersion


class Service:
    """A service whose runner counts what it computes, and may be told to wait."""

    def __init__(self, cache: MemoryCache | RedisCache | None = None, profile: str = "sample") -> None:
        self.serves = ONE
        self.computed = self.cancelled = 0
        self.failure: Exception | None = None
        self.not_ready = False
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.kept = cache or MemoryCache(seconds=60, max_bytes=100_000)
        self.cache = AnswerCache(self.kept, profile, self.status, status_seconds=0)

    async def status(self) -> Status:
        if self.not_ready:
            raise NotReadyError("it is being loaded")
        return Status(model=MODEL, release=self.serves)

    async def compute(self) -> Answer:
        self.computed += 1
        answer = Answer(number=self.computed, model=MODEL, release=self.serves)
        try:
            await self.may_go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.failure:
            raise self.failure
        return answer

    async def ask(self, question: str = "a", endpoint: str = "analyze") -> int:
        return (await self.cache.answer(endpoint, question.encode(), Answer, self.compute)).number


def scenario(run: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(60):
            await run()

    asyncio.run(limited())


def test_an_answer_is_computed_once_per_question() -> None:
    async def run() -> None:
        service = Service()
        assert [await service.ask() for _ in range(3)] == [1, 1, 1]
        assert await service.ask("b") == 2
        assert await service.ask("a", endpoint="recommend") == 3
        other = Service(service.kept, profile="photos")
        other.computed = 10
        assert await other.ask() == 11, "version 1 of another profile is another model"

    scenario(run)


def test_a_new_release_computes_again_and_a_rollback_finds_its_own_answers() -> None:
    async def run() -> None:
        service = Service()
        assert await service.ask() == 1
        service.serves = TWO
        assert [await service.ask(), await service.ask()] == [2, 2]
        service.serves = ONE
        assert await service.ask() == 1

    scenario(run)


def test_the_answer_of_a_release_that_came_meanwhile_is_not_kept_for_the_one_before() -> None:
    async def run() -> None:
        service = Service()

        async def compute() -> Answer:
            service.serves = TWO
            return await service.compute()

        assert (await service.cache.answer("analyze", b"a", Answer, compute)).release == TWO
        service.serves = ONE
        assert await service.ask() == 2

    scenario(run)


def test_equal_questions_at_the_same_time_wait_for_one_answer() -> None:
    async def run() -> None:
        service = Service()
        service.may_go_on.clear()
        asking = [asyncio.create_task(service.ask()) for _ in range(5)]
        while not service.computed:
            await asyncio.sleep(0)
        asking[0].cancel()  # the first caller leaves, and the others still get their answer
        await asyncio.sleep(0)
        service.may_go_on.set()
        assert await asyncio.gather(*asking[1:]) == [1] * 4
        assert (service.computed, service.cancelled) == (1, 0)

    scenario(run)


def test_work_that_nobody_waits_for_any_longer_is_cancelled() -> None:
    async def run() -> None:
        service = Service()
        service.may_go_on.clear()
        asking = [asyncio.create_task(service.ask()) for _ in range(2)]
        while not service.computed:
            await asyncio.sleep(0)
        for caller in asking:
            caller.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        again = asyncio.create_task(service.ask())
        while service.computed < 2:
            await asyncio.sleep(0)
        service.may_go_on.set()
        assert await again == 2
        assert service.cancelled == 1

    scenario(run)


def test_a_failure_goes_to_all_that_wait_and_is_not_kept() -> None:
    async def run() -> None:
        service = Service()
        service.failure = InvalidRequestError("that is no photo")
        service.may_go_on.clear()
        asking = [asyncio.create_task(service.ask()) for _ in range(3)]
        while not service.computed:
            await asyncio.sleep(0)
        service.may_go_on.set()
        assert await asyncio.gather(*asking, return_exceptions=True) == [service.failure] * 3
        service.failure = None
        assert await service.ask() == 2

    scenario(run)


def test_a_runner_that_says_nothing_is_asked_all_the_same() -> None:
    async def run() -> None:
        service = Service()
        assert await service.ask() == 1
        service.not_ready = True
        assert [await service.ask(), await service.ask()] == [2, 3]

    scenario(run)


class Damaged(MemoryCache):
    """Somebody else wrote what it holds."""

    async def get(self, key: str) -> bytes | None:
        return b'{"number": "many"}'


def test_what_is_no_answer_is_computed_again(logged: Callable[[], list[tuple[str | None, str]]]) -> None:
    async def run() -> None:
        service = Service(Damaged(seconds=60, max_bytes=100_000))
        assert [await service.ask(), await service.ask()] == [1, 2]

    scenario(run)
    assert "what was kept is no Answer, and is computed again" in [text for _, text in logged()]


def test_an_answer_that_is_too_large_is_not_kept() -> None:
    class Long(ReleasedBody):
        text: str

    async def run() -> None:
        service = Service()

        async def compute() -> Long:
            service.computed += 1
            return Long(text="x" * 1_000_000, release=ONE)

        for _ in range(2):
            await service.cache.answer("analyze", b"a", Long, compute)
        assert service.computed == 2

    scenario(run)


def test_each_of_those_who_wait_is_told_the_release_of_the_answer() -> None:
    async def run() -> None:
        service = Service()
        service.may_go_on.clear()

        async def ask() -> list[Any]:
            sent: list[Any] = []

            async def endpoint(_scope: Any, _receive: Any, send: Any) -> None:
                await service.ask()
                await send({"type": "http.response.start", "status": 200, "headers": []})

            async def keep(message: Any) -> None:
                sent.append(dict(message["headers"]))

            await ReleaseHeader(endpoint)({"type": "http"}, None, keep)  # type: ignore[arg-type]
            return sent

        asking = [asyncio.create_task(ask()) for _ in range(3)]
        while not service.computed:
            await asyncio.sleep(0)
        service.may_go_on.set()
        assert await asyncio.gather(*asking) == [[{b"x-aura-release": b"1;tiny=1"}]] * 3
        assert await ask() == [{b"x-aura-release": b"1;tiny=1"}], "nor does the cache forget it"

    scenario(run)


def test_the_settings_may_switch_it_off() -> None:
    async def run() -> None:
        service = Service()
        assets = StubAssets(serving=ServingSettings(cache_seconds=0))
        service.cache = AnswerCache.of(assets, service.status)
        assert [await service.ask(), await service.ask()] == [1, 2]
        assert await service.cache.problems() == []

    scenario(run)


def test_replicas_share_answers_through_redis_and_answer_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        one, two = Service(), Service()
        with redis_server(tmp_path) as server:
            monkeypatch.setenv("AURA_REDIS_URL", server.url)
            for service in (one, two):
                service.cache = AnswerCache.of(StubAssets(), service.status)
            assert [await one.ask(), await two.ask()] == [1, 1]
            assert (one.computed, two.computed) == (1, 0)
            server.freeze()
            assert [await two.ask(), await two.ask()] == [1, 2]
            [problem] = await two.cache.problems()
            assert "Redis does not answer" in problem
            server.thaw()
            while await two.cache.problems():
                await asyncio.sleep(0.02)
            assert await two.ask() == 1
            assert two.computed == 2

    scenario(run)
