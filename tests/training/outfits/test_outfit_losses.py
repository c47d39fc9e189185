"""Both losses against values computed by hand."""

from __future__ import annotations

from math import log, sqrt

import pytest
import torch
from torch.nn import functional

from training.outfits.losses import compatibility_loss, set_wise_ranking_loss

_LOGITS = torch.tensor([log(3), log(3), -2.0, 5.0])
_COMPATIBLE = torch.tensor([1, 0, 1, 0])


def test_focal_loss_of_a_known_case() -> None:
    # A logit of ln 3 is a probability of 3/4.
    loss = compatibility_loss(_LOGITS[:2], _COMPATIBLE[:2], alpha=0.4, gamma=2.0)
    true, corrupted = 0.4 * 0.25**2 * -log(0.75), 0.6 * 0.75**2 * -log(0.25)
    assert loss.item() == pytest.approx((true + corrupted) / 2, abs=1e-6)


def test_focal_loss_without_focus_is_weighted_cross_entropy() -> None:
    weight = torch.where(_COMPATIBLE == 1, 0.3, 0.7)
    expected = functional.binary_cross_entropy_with_logits(_LOGITS, _COMPATIBLE.float(), weight=weight)
    loss = compatibility_loss(_LOGITS, _COMPATIBLE, alpha=0.3, gamma=0.0)
    torch.testing.assert_close(loss, expected)


def test_easy_cases_count_less_the_stronger_the_focus() -> None:
    def share_of_easy(gamma: float) -> float:
        easy, hard = (
            compatibility_loss(torch.tensor([logit]), torch.tensor([1]), alpha=0.5, gamma=gamma)
            for logit in (3.0, -3.0)
        )
        return (easy / hard).item()

    assert share_of_easy(0.0) > 10 * share_of_easy(1.0) > 100 * share_of_easy(2.0) > 0


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
    focal = compatibility_loss(_LOGITS.to(torch.bfloat16), _COMPATIBLE, alpha=0.5, gamma=2.0)
    assert ranking.dtype == focal.dtype == torch.float32
