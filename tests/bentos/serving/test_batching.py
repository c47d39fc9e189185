"""Requests of several callers become one batch, without waiting for more; who has gone, or is too late, costs nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from aura.errors import InvalidRequestError
from bentos.serving.batch_answers import answer_together
from bentos.serving.batching import Batcher
from bentos.serving.errors import Failure, OverloadedError
from bentos.serving.messages import ModelVersion, RunnerAnswer, RunnerRequest


def request(name: str) -> RunnerRequest:
    return RunnerRequest(request_id=name)


def answer_to(request: RunnerRequest) -> RunnerAnswer:
    return RunnerAnswer(model=ModelVersion(name=request.request_id, version="1"))


class Runner:
    """Answers a batch when it is let, and remembers it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.seconds_left: list[float] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def send(self, requests: list[RunnerRequest]) -> Sequence[RunnerAnswer | Failure]:
        self.batches.append([request.request_id for request in requests])
        self.seconds_left += [request.seconds_left for request in requests]
        await self.may_answer.wait()
        wrong = Failure.of(InvalidRequestError("wrong"))
        return [wrong if request.request_id == "wrong" else answer_to(request) for request in requests]

    def batcher(self, *, max_batch: int = 3, seconds: float = 60.0) -> Batcher[RunnerRequest, RunnerAnswer]:
        return Batcher(self.send, max_batch=max_batch, seconds=seconds)


async def turns_of_the_loop(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_one_request_is_sent_at_once_and_what_waits_meanwhile_goes_together() -> None:
    async def ask() -> tuple[Runner, list[str]]:
        runner = Runner()
        batcher = runner.batcher()
        runner.may_answer.clear()
        first = asyncio.create_task(batcher.answer(request("0")))
        await turns_of_the_loop()
        assert runner.batches == [["0"]]
        others = [asyncio.create_task(batcher.answer(request(str(number)))) for number in range(1, 6)]
        await turns_of_the_loop()
        assert (runner.batches, len(batcher)) == ([["0"]], 5)
        runner.may_answer.set()
        answers = await asyncio.gather(first, *others)
        return runner, [answer.model.name for answer in answers]

    runner, names = asyncio.run(ask())
    assert names == ["0", "1", "2", "3", "4", "5"], "each caller gets the own answer"
    assert runner.batches == [["0"], ["1", "2", "3"], ["4", "5"]]


def test_requests_of_the_same_moment_are_one_batch() -> None:
    async def ask() -> list[list[str]]:
        runner = Runner()
        batcher = runner.batcher()
        await asyncio.gather(*(batcher.answer(request(name)) for name in "ab"))
        return runner.batches

    assert asyncio.run(ask()) == [["a", "b"]]


def test_a_request_whose_caller_has_gone_is_not_sent() -> None:
    async def ask() -> list[list[str]]:
        runner = Runner()
        batcher = runner.batcher()
        runner.may_answer.clear()
        tasks = [asyncio.create_task(batcher.answer(request(name))) for name in "a"]
        await turns_of_the_loop()
        tasks += [asyncio.create_task(batcher.answer(request(name))) for name in "bc"]
        await turns_of_the_loop()
        tasks[1].cancel()
        await turns_of_the_loop()
        assert len(batcher) == 1
        runner.may_answer.set()
        await asyncio.gather(*tasks, return_exceptions=True)
        return runner.batches

    assert asyncio.run(ask()) == [["a"], ["c"]]


def test_a_request_that_is_not_answered_in_time_is_refused_and_the_next_ones_are_answered() -> None:
    async def ask() -> list[list[str]]:
        runner = Runner()
        batcher = runner.batcher(seconds=0.05)
        runner.may_answer.clear()
        waiting = [asyncio.create_task(batcher.answer(request("a")))]
        await turns_of_the_loop()
        waiting.append(asyncio.create_task(batcher.answer(request("b"))))
        refused = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(error) for error in refused] == [OverloadedError, OverloadedError]
        runner.may_answer.set()
        assert (await batcher.answer(request("c"))).model.name == "c"
        assert all(0 < seconds <= 0.05 for seconds in runner.seconds_left), "the runner is told how long it has"
        return runner.batches

    assert asyncio.run(ask()) == [["a"], ["c"]]


def test_one_failure_is_that_of_one_caller_and_a_lost_runner_that_of_its_batch() -> None:
    async def ask() -> None:
        runner = Runner()
        batcher = runner.batcher()
        good, wrong = await asyncio.gather(
            batcher.answer(request("good")), batcher.answer(request("wrong")), return_exceptions=True
        )
        assert isinstance(good, RunnerAnswer)
        assert isinstance(wrong, InvalidRequestError)

        async def lost(_requests: list[RunnerRequest]) -> list[RunnerAnswer | Failure]:
            raise ConnectionResetError("the runner has gone")

        lonely: Batcher[RunnerRequest, RunnerAnswer] = Batcher(lost, max_batch=3, seconds=60)
        for _ in range(2):  # also the one after
            errors = await asyncio.gather(*(lonely.answer(request(name)) for name in "ab"), return_exceptions=True)
            assert [type(error) for error in errors] == [ConnectionResetError] * 2

    asyncio.run(ask())


def test_two_batches_may_be_under_way() -> None:
    async def ask() -> list[list[str]]:
        runner = Runner()
        batcher: Batcher[RunnerRequest, RunnerAnswer] = Batcher(runner.send, max_batch=1, seconds=60, in_flight=2)
        runner.may_answer.clear()
        tasks = [asyncio.create_task(batcher.answer(request(name))) for name in "abc"]
        await turns_of_the_loop()
        assert runner.batches == [["a"], ["b"]]
        runner.may_answer.set()
        await asyncio.gather(*tasks)
        return runner.batches

    assert asyncio.run(ask()) == [["a"], ["b"], ["c"]]


def name_of(request: RunnerRequest) -> str:
    if request.request_id == "unreadable":
        raise InvalidRequestError("unreadable")
    return request.request_id


class Work:
    """Upper case of all names at once, but for one that it cannot bear."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, _requests: Sequence[RunnerRequest], names: Sequence[str]) -> list[str]:
        self.batches.append([*names])
        if "poison" in names:
            raise RuntimeError("secret")
        return [name.upper() for name in names]


def answered(*requests: RunnerRequest) -> tuple[list[str], Work]:
    """Answers, or the codes of failures."""
    work = Work()
    answers = answer_together(
        requests, name_of, work, lambda request, name, result: f"{request.request_id} {name} {result}"
    )
    return [answer.code if isinstance(answer, Failure) else answer for answer in answers], work


def test_a_batch_is_worked_on_at_once_and_what_cannot_be_read_fails_alone() -> None:
    answers, work = answered(request("a"), request("unreadable"), request("b"))
    assert answers == ["a a A", "invalid_request", "b b B"]
    assert work.batches == [["a", "b"]]


def test_one_request_that_no_batch_can_bear_costs_the_others_nothing() -> None:
    answers, work = answered(request("a"), request("poison"), request("b"))
    assert answers == ["a a A", "internal", "b b B"]
    assert work.batches == [["a", "poison", "b"], ["a"], ["poison"], ["b"]]


def test_a_request_whose_time_is_over_is_not_worked_on() -> None:
    late = RunnerRequest(request_id="late", seconds_left=-1.0)
    answers, work = answered(late, request("a"))
    assert answers == ["overloaded", "a a A"]
    assert work.batches == [["a"]]


@pytest.mark.parametrize("seconds", [0.5, 60.0])
def test_a_time_limit_counts_from_the_arrival_of_the_message(seconds: float) -> None:
    sent = RunnerRequest(request_id="a", seconds_left=seconds)
    arrived = RunnerRequest.model_validate(sent.model_dump())
    assert arrived.seconds_left == seconds
    assert not arrived.is_overdue
