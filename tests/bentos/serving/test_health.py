"""A health check ends, whatever the runner does."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from bentoml.exceptions import ServiceUnavailable

from bentos.serving.errors import NotReadyError
from bentos.serving.health import Health, Readiness
from bentos.serving.messages import ModelVersion, Status

STATUS = Status(model=ModelVersion(name="tiny", version="1"))


class Runner:
    """Answers while `up` is set."""

    def __init__(self) -> None:
        self.up = asyncio.Event()
        self.asked = 0
        self.failure: Exception | None = None

    async def status(self) -> Status:
        self.asked += 1
        await self.up.wait()
        if self.failure:
            raise self.failure
        return STATUS


def test_a_runner_that_loads_is_asked_once_and_found_when_it_has() -> None:
    async def scenario() -> None:
        runner = Runner()
        readiness = Readiness(runner.status, limit_seconds=0.05)
        for _ in range(3):
            with pytest.raises(NotReadyError, match="is being loaded"):
                await readiness.status()
        assert runner.asked == 1
        runner.up.set()
        assert await readiness.status() == STATUS

    asyncio.run(scenario())


def test_a_runner_that_hangs_later_does_not_hang_the_check() -> None:
    async def scenario() -> None:
        runner = Runner()
        runner.up.set()
        readiness = Readiness(runner.status, limit_seconds=0.05)
        assert await readiness.status() == STATUS
        runner.up.clear()
        for _ in range(3):
            with pytest.raises(NotReadyError, match="does not answer in time"):
                await readiness.status()
        assert runner.asked == 2
        runner.up.set()
        assert await readiness.status() == STATUS

    asyncio.run(scenario())


def test_checks_at_the_same_time_are_one_question_and_a_caller_that_leaves_ends_none() -> None:
    async def scenario() -> None:
        runner = Runner()
        readiness = Readiness(runner.status)
        checks = [asyncio.create_task(readiness.status()) for _ in range(5)]
        await asyncio.sleep(0)
        checks[0].cancel()
        await asyncio.sleep(0)
        runner.up.set()
        assert await asyncio.gather(*checks[1:]) == [STATUS] * 4
        assert runner.asked == 1

    asyncio.run(scenario())


@pytest.mark.parametrize("failure", [aiohttp.ServerDisconnectedError(), TimeoutError(), ServiceUnavailable("full")])
def test_a_runner_that_died_is_not_ready_and_asked_again(failure: Exception) -> None:
    async def scenario() -> None:
        runner = Runner()
        runner.up.set()
        runner.failure = failure
        readiness = Readiness(runner.status)
        for _ in range(2):
            with pytest.raises(NotReadyError, match="is being started again"):
                await readiness.status()
        runner.failure = None
        assert await readiness.status() == STATUS

    asyncio.run(scenario())


def test_what_is_missing_makes_a_service_degraded() -> None:
    ready = Health(profile="sample", model=STATUS.model, release=STATUS.release, reasons=[])
    degraded = Health(profile="sample", model=STATUS.model, release=STATUS.release, reasons=["no index"])
    assert (ready.state, degraded.state) == ("ready", "degraded")
    assert degraded.model_dump()["state"] == "degraded"
