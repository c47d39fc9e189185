"""Both losses against values computed by hand."""

from __future__ import annotations

from math import log, sqrt

import pytest
import torch

from training.outfits.losses import compatibility_loss, set_wise_ranking_loss

_LOGITS = torch.tensor([log(3), log(3), -2.0, 5.0])
_COMPATIBLE = torch.tensor([True, False, True, False])


def test_cross_entropy_of_a_known_case() -> None:
    # A logit of ln 3 is a probability of 3/4.
    loss = compatibility_loss(_LOGITS[:2], _COMPATIBLE[:2])
    assert loss.item() == pytest.approx((-log(0.75) - log(0.25)) / 2, abs=1e-6)


def test_true_outfits_weigh_as_much_as_all_corrupted_ones() -> None:
    logits, compatible = torch.tensor([log(3), log(3), log(3), 0.0]), torch.tensor([True, False, False, False])
    expected = (-log(0.75) + (-2 * log(0.25) - log(0.5)) / 3) / 2
    assert compatibility_loss(logits, compatible).item() == pytest.approx(expected, abs=1e-6)
    # The best constant answer is even odds.
    bias = torch.zeros((), requires_grad=True)
    compatibility_loss(bias.expand(4), compatible).backward()
    assert bias.grad is not None
    assert bias.grad.item() == pytest.approx(0, abs=1e-7)


def test_outfits_of_one_kind_have_a_loss() -> None:
    assert compatibility_loss(torch.zeros(3), torch.ones(3, dtype=torch.bool)).item() == pytest.approx(log(2))


_ITEMS = torch.tensor([[0.6, 0.8], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])
_TO_ANSWER = sqrt(0.4**2 + 0.8**2)
"""Distance of (1, 0) to (0.6, 0.8)."""


def _ranking(negative: list[list[bool]], answer: list[int], queries: list[list[float]], margin: float = 0.3) -> float:
    loss = set_wise_ranking_loss(
        torch.tensor(queries), _ITEMS, torch.tensor(answer), torch.tensor(negative), margin=margin
    )
    return loss.item()


def test_ranking_loss_of_a_known_case() -> None:
    # Distances to the negatives are 0, sqrt(2) and 2: the first alone is too near.
    negative = [[False, True, True, True]]
    too_near = _TO_ANSWER - 0 + 0.3
    assert _ranking(negative, [0], [[1.0, 0.0]]) == pytest.approx(too_near / 3 + too_near, abs=1e-6)
    second = _TO_ANSWER - sqrt(2) + 0.6
    wide = (too_near + 0.3 + second) / 3 + too_near + 0.3
    assert _ranking(negative, [0], [[1.0, 0.0]], margin=0.6) == pytest.approx(wide, abs=1e-6)


def test_ranking_loss_is_the_mean_over_queries_that_have_negatives() -> None:
    alone = _ranking([[False, True, False, False]], [0], [[1.0, 0.0]])
    assert alone == pytest.approx(2 * (_TO_ANSWER + 0.3), abs=1e-6)
    nothing_to_ask = [False] * 4
    assert _ranking([[False, True, False, False], nothing_to_ask], [0, 3], [[1.0, 0.0]] * 2) == pytest.approx(alone)
    # A query whose answer lies a margin nearer than its negative adds 0, but counts.
    satisfied = [False, True, False, False]
    both = _ranking([[False, True, False, False], satisfied], [0, 3], [[1.0, 0.0], [-1.0, 0.0]])
    assert both == pytest.approx(alone / 2, abs=1e-6)


def test_items_that_are_no_negatives_do_not_matter() -> None:
    assert _ranking([[False, False, True, True]], [0], [[1.0, 0.0]]) == 0
    assert _ranking([[False, True, True, True]], [0], [[1.0, 0.0]]) > 0


def test_ranking_loss_without_negatives_is_zero_and_can_be_derived() -> None:
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0]], requires_grad=True)
    loss = set_wise_ranking_loss(queries, _ITEMS, torch.tensor([0, 1]), torch.zeros(2, 4, dtype=torch.bool), margin=0.3)
    loss.backward()
    assert loss.item() == 0
    assert queries.grad is not None
    assert queries.grad.abs().sum() == 0


def test_a_query_on_its_answer_has_a_finite_gradient() -> None:
    queries = torch.tensor([[1.0, 0.0]], requires_grad=True)
    loss = set_wise_ranking_loss(
        queries, _ITEMS, torch.tensor([1]), torch.tensor([[True, False, False, False]]), margin=1.0
    )
    loss.backward()
    assert loss.item() == pytest.approx(2 * (1 - _TO_ANSWER), abs=1e-6)
    assert queries.grad is not None
    assert queries.grad.isfinite().all()
    assert queries.grad.abs().sum() > 0


def test_losses_are_fp32_under_mixed_precision() -> None:
    halves = _ITEMS.to(torch.bfloat16)
    ranking = set_wise_ranking_loss(
        halves[1:2], halves, torch.tensor([0]), torch.tensor([[False, True, True, True]]), margin=0.3
    )
    compatibility = compatibility_loss(_LOGITS.to(torch.bfloat16), _COMPATIBLE)
    assert ranking.dtype == compatibility.dtype == torch.float32
