"""How many answers are admitted, and whose turn it is."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from aura.errors import BusyError
from bentos.conversational_ai.turns import Admission, Turn


def test_places_are_limited_and_come_back_however_an_answer_ends() -> None:
    admission = Admission(2, "answers wait")
    with ExitStack() as stack:
        stack.enter_context(admission.place())
        with pytest.raises(RuntimeError), admission.place():
            raise RuntimeError("the answer failed")
        stack.enter_context(admission.place())
        with pytest.raises(BusyError, match="2 answers") as caught, admission.place():
            pass
        assert caught.value.hint
    with admission.place(), admission.place():
        pass


def test_turns_come_in_the_order_of_asking_and_pass_over_those_who_left() -> None:
    async def scenario() -> list[int]:
        turn, had = Turn(), []

        async def take(number: int) -> None:
            async with turn.taken(5):
                had.append(number)
                await asyncio.sleep(0)

        async with turn.taken(5):
            waiting = [asyncio.ensure_future(take(number)) for number in range(4)]
            await asyncio.sleep(0)
            waiting[1].cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        return had

    assert asyncio.run(scenario()) == [0, 2, 3]


def test_patience_ends() -> None:
    async def scenario() -> None:
        turn = Turn()
        async with turn.taken(5):
            with pytest.raises(BusyError, match="no turn came"):
                async with turn.taken(0.01):
                    pass
        async with turn.taken(5):  # the one that gave up did not take it along
            pass

    asyncio.run(scenario())
