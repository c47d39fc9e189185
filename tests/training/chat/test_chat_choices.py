"""Choices as examples: what is drawn, how it is batched, and the loss by hand."""

from __future__ import annotations

from math import log

import pytest
import torch

from inference.chat.choosing import PassageSentence
from inference.chat.passages import ChatPassage
from inference.chat.prompt import ChoicePrompt, Example
from inference.chat.scoring import IGNORED
from training.chat.choices import ChoiceExample, choice_example, choice_loss, collate_choices

FIRST = ChoiceExample(answering=[[5, 6]], others=[[7], [8, 9, 10]], asked=[11, 2])
SECOND = ChoiceExample(answering=[[12], [13, 14]], others=[[15]], asked=[16, 17, 18, 2])


def prompt(sentences: int) -> ChoicePrompt:
    return ChoicePrompt(
        question="How?",
        sentences=[PassageSentence(f"S{number}.", 0) for number in range(sentences)],
        examples=[Example([number, 99], [11, 2]) for number in range(sentences)],
        passages=[ChatPassage(source="Wool", text=" ".join(f"S{number}." for number in range(sentences)))],
    )


def test_the_chosen_answer_and_so_many_others_are_drawn_by_the_seed() -> None:
    example = choice_example(prompt(9), ["S4.", "S1.", "elsewhere"], 3, "a/0")
    assert example.answering == [[1, 99], [4, 99]]
    assert len(example.others) == 3
    assert all(other not in example.answering for other in example.others)
    assert example.asked == [11, 2]
    assert example.length == 5 * 4
    assert choice_example(prompt(9), ["S4.", "S1."], 3, "a/0") == example
    assert len({str(choice_example(prompt(9), ["S4."], 3, f"a/{turn}").others) for turn in range(9)}) > 1
    assert len(choice_example(prompt(2), ["S0."], 3, "a/0").others) == 1


def test_a_batch_holds_every_pair_with_its_question() -> None:
    batch = collate_choices([FIRST, SECOND], pad_id=2)
    assert batch.question.tolist() == [0, 0, 0, 1, 1, 1]
    assert batch.answers.tolist() == [True, False, False, True, True, False]
    assert batch.groups == 2
    for row, (read, asked) in enumerate(
        [([5, 6], FIRST), ([7], FIRST), ([8, 9, 10], FIRST), ([12], SECOND), ([13, 14], SECOND), ([15], SECOND)]
    ):
        labels = batch.tokens.labels[row]
        assert labels[labels != IGNORED].tolist() == asked.asked
        assert batch.tokens.input_ids[row][batch.tokens.attention_mask[row] == 1].tolist() == read + asked.asked
    moved = batch.to("cpu")
    assert torch.equal(moved.question, batch.question)
    assert torch.equal(moved.answers, batch.answers)


def test_the_loss_is_that_of_the_formula() -> None:
    batch = collate_choices([FIRST, SECOND], pad_id=2)
    nats = torch.tensor([log(2), log(4), log(4), log(2), log(4), log(8)])
    # Of one question, the share 1/2 of 1/2 + 1/4 + 1/4; of the other, 3/4 of 7/8.
    first = log(2) + 0.3 * log(2) / 2
    second = log(7 / 6) + 0.3 * (log(2) + log(4)) / 2 / 4
    assert choice_loss(nats, batch).item() == pytest.approx((first + second) / 2, rel=1e-6)


def test_questions_do_not_touch_each_other() -> None:
    nats = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    alone = [
        choice_loss(nats[rows], collate_choices([one], 2)) for rows, one in ((slice(3), FIRST), (slice(3, 6), SECOND))
    ]
    assert choice_loss(nats, collate_choices([FIRST, SECOND], 2)).item() == pytest.approx(
        float(sum(alone)) / 2, rel=1e-6
    )


def test_the_gradient_makes_the_question_likelier_behind_what_answers_and_rarer_behind_the_rest() -> None:
    batch = collate_choices([FIRST, SECOND], pad_id=2)
    nats = torch.tensor([3.0, 2.0, 9.0, 1.0, 4.0, 2.0], requires_grad=True)
    choice_loss(nats, batch).backward()
    assert nats.grad is not None
    assert (nats.grad[batch.answers] > 0).all()
    assert (nats.grad[~batch.answers] < 0).all()
    assert nats.grad[1] < nats.grad[2]  # the likelier of the wrong ones counts more
    numeric = []
    for place in range(6):
        step = torch.zeros(6, dtype=torch.float64)
        step[place] = 1e-4
        exact = nats.detach().double()
        numeric.append(float(choice_loss(exact + step, batch) - choice_loss(exact - step, batch)) / 2e-4)
    torch.testing.assert_close(nats.grad, torch.tensor(numeric), rtol=1e-3, atol=1e-5)


def test_nats_of_a_thousand_are_no_infinite_loss() -> None:
    nats = torch.tensor([2000.0, 1000.0, 1000.0])
    assert choice_loss(nats, collate_choices([FIRST], 2)).item() == pytest.approx(1000 + log(2) + 0.3 * 1000, rel=1e-5)
