"""How many answers are admitted, and which one is generated."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from aura.errors import BusyError
from bentos.conversational_ai.limits import ConcurrencyLimit, GenerationLock


def test_slots_are_limited_and_come_back_however_an_answer_ends() -> None:
    limit = ConcurrencyLimit(2, "answers wait")
    with ExitStack() as stack:
        stack.enter_context(limit.slot())
        with pytest.raises(RuntimeError), limit.slot():
            raise RuntimeError("the answer failed")
        stack.enter_context(limit.slot())
        with pytest.raises(BusyError, match="2 answers") as caught, limit.slot():
            pass
        assert caught.value.hint
    with limit.slot(), limit.slot():
        pass


def test_the_lock_is_held_in_the_order_of_asking_and_passes_over_those_who_left() -> None:
    async def scenario() -> list[int]:
        lock, had = GenerationLock(), []

        async def take(number: int) -> None:
            async with lock.held(5):
                had.append(number)
                await asyncio.sleep(0)

        async with lock.held(5):
            waiting = [asyncio.ensure_future(take(number)) for number in range(4)]
            await asyncio.sleep(0)
            waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return had

    assert asyncio.run(scenario()) == [0, 2, 3]


def test_waiting_for_the_lock_ends() -> None:
    async def scenario() -> None:
        lock = GenerationLock()
        async with lock.held(5):
            with pytest.raises(BusyError, match="no turn came"):
                async with lock.held(0.01):
                    pass
        async with lock.held(5):  # the one that gave up did not take it along
            pass

    asyncio.run(scenario())
