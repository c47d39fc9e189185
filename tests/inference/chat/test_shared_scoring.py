"""Threads that score at the same time share batches: who is in which, who drops out, and what an error does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from inference.chat.answer import AnswerStoppedError, Wanted, always
from inference.chat.model import ChatModel
from inference.chat.passages import ChatPassage
from inference.chat.prompt import Example
from inference.chat.shared_scoring import SharedScoring


def examples(*numbers: int) -> list[Example]:
    return [Example([number], [0]) for number in numbers]


class Model:
    """Scores an example as its number, when it may; remembers the batches, and how many passes were said to be under way."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.passes: list[int] = []
        self.may_score = threading.Event()

    def score(self, batch: Sequence[Example], passes: int) -> list[float]:
        numbers = [example.prompt_ids[0] for example in batch]
        self.passes.append(passes)
        self.batches.append(numbers)
        assert self.may_score.wait(60)
        if numbers[0] < 0:
            raise ValueError("a broken example")
        return [float(number) for number in numbers]


class Callers:
    """Threads that ask; the first has the model to itself, the others wait for it in their order."""

    def __init__(self, scoring: SharedScoring) -> None:
        self._scoring = scoring
        self._pool = ThreadPoolExecutor(8)

    def ask(self, *numbers: int, wanted: Wanted = always) -> Future[list[float]]:
        return self._pool.submit(self._scoring.nats, examples(*numbers), wanted)

    def waiting(self, count: int) -> None:
        """Wait until so many wait for the model."""
        until(lambda: len(self._scoring._waiting) == count)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def callers(model: Model) -> Callers:
    return Callers(SharedScoring(model.score, most_examples=4))


def test_what_waits_while_the_model_is_busy_is_scored_together(model: Model, callers: Callers) -> None:
    first = callers.ask(1, 2)
    until(lambda: model.batches)
    others = []
    for count, numbers in enumerate([(3,), (4, 5), (6, 7), (8,)], start=1):
        others.append(callers.ask(*numbers))
        callers.waiting(count)
    model.may_score.set()
    assert first.result(60) == [1, 2]
    assert [other.result(60) for other in others] == [[3], [4, 5], [6, 7], [8]]
    assert model.batches == [[1, 2], [3, 4, 5], [6, 7, 8]]


def test_two_batches_are_scored_side_by_side_and_a_third_waits(model: Model) -> None:
    callers = Callers(SharedScoring(model.score, most_examples=4, passes=2))
    asked = [callers.ask(1, 2)]
    until(lambda: model.batches)
    asked.append(callers.ask(3))
    until(lambda: len(model.batches) == 2)
    asked += [callers.ask(4, 5, 6), callers.ask(7)]
    callers.waiting(2)
    assert model.batches == [[1, 2], [3]]
    model.may_score.set()
    assert [each.result(60) for each in asked] == [[1, 2], [3], [4, 5, 6], [7]]
    assert {number for batch in model.batches[2:] for number in batch} == {4, 5, 6, 7}
    assert model.passes[:2] == [1, 2]
    callers.ask(8).result(60)
    assert model.passes[-1] == 1, "one alone has the whole processor"


def test_one_whose_own_examples_are_under_way_begins_no_other_batch() -> None:
    may_score = {number: threading.Event() for number in (1, 2, 7, 8)}
    batches = []

    def score(batch: Sequence[Example], _: int) -> list[float]:
        numbers = [example.prompt_ids[0] for example in batch]
        batches.append(numbers)
        assert may_score[numbers[0]].wait(60)
        return [float(number) for number in numbers]

    callers = Callers(SharedScoring(score, most_examples=5, passes=2))
    asked = []
    for count, numbers in enumerate([(1,), (7,), (2,), (3,), (4,), (5,), (6,)]):
        asked.append(callers.ask(*numbers))
        if count < 2:
            until(lambda count=count: len(batches) == count + 1)
        else:
            callers.waiting(count - 1)
    may_score[7].set()
    until(lambda: len(batches) == 3)  # whoever asked for 2 scores it for the four others too
    last = callers.ask(8)
    may_score[1].set()
    until(lambda: len(batches) == 4)
    may_score[2].set()
    assert [each.result(60) for each in asked] == [[1], [7], [2], [3], [4], [5], [6]], "none of them waits for 8"
    may_score[8].set()
    assert last.result(60) == [8]
    assert batches == [[1], [7], [2, 3, 4, 5, 6], [8]]


def test_answers_of_many_threads_come_to_those_who_asked(model: Model) -> None:
    model.may_score.set()
    scoring = SharedScoring(model.score, most_examples=4, passes=3)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: scoring.nats(examples(number, number + 1)), range(300)))
    assert found == [[number, number + 1] for number in range(300)]
    assert set(model.passes) <= {1, 2, 3}


def test_more_examples_than_a_batch_holds_stay_together(model: Model, callers: Callers) -> None:
    model.may_score.set()
    assert callers.ask(*range(9)).result(60) == list(range(9))
    assert model.batches == [list(range(9))]


def test_what_nobody_wants_any_longer_is_not_scored(model: Model, callers: Callers) -> None:
    first = callers.ask(1)
    until(lambda: model.batches)
    wanted = True
    given_up = callers.ask(2, wanted=lambda: wanted)
    callers.waiting(1)
    kept = callers.ask(3)
    callers.waiting(2)
    wanted = False
    model.may_score.set()
    assert (first.result(60), kept.result(60)) == ([1], [3])
    with pytest.raises(AnswerStoppedError):
        given_up.result(60)
    assert model.batches == [[1], [3]]


def test_an_error_reaches_everyone_in_its_batch_and_nobody_else(model: Model, callers: Callers) -> None:
    first = callers.ask(1)
    until(lambda: model.batches)
    broken = callers.ask(-1)
    callers.waiting(1)
    beside = callers.ask(2)
    callers.waiting(2)
    later = callers.ask(3, 4, 5)
    callers.waiting(3)
    model.may_score.set()
    assert (first.result(60), later.result(60)) == ([1], [3, 4, 5])
    for failed in (broken, beside):
        with pytest.raises(ValueError, match="a broken example"):
            failed.result(60)


def test_answers_that_are_scored_together_are_those_that_are_scored_alone(tiny_chat: ChatModel) -> None:
    passages = [
        ChatPassage(source="Wool. Washing", text="Wash wool at 30 degrees. Dry it flat on a towel. Never wring it."),
        ChatPassage(source="Shoes", text="Brown shoes go with navy. Polish them each week."),
    ]
    questions = ["How do I wash wool?", "What goes with brown shoes?", "How do I dry a sweater?", "When do I polish?"]

    def said(question: str) -> list[str]:
        answer = tiny_chat.answer([{"role": "user", "content": question}], passages)
        return [sentence.text for sentence in answer]

    alone = [said(question) for question in questions]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(said, questions)) == alone
    assert any(len(sentences) > 0 for sentences in alone)
