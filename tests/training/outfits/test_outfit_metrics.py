"""Metrics of a model whose answers are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from aura.taxonomy import Category
from training.outfits.metrics import (
    area_under_roc,
    by_category,
    calibration_error,
    fitb_choices,
    fitb_choices_by_query,
    mean,
    odds_ratio,
    recall,
    retrieval_ranks,
    right,
)
from training.outfits.questions import Question, QuestionSet


class Known:
    """Scores an outfit by the sum of its garments' points; embeds a garment at its angle, a query at its context's."""

    def __init__(self, points: dict[str, float], degrees: dict[str, float] | None = None) -> None:
        self._points, self._degrees = points, degrees or {}

    def score(self, outfits: Sequence[Sequence[str]]) -> np.ndarray:
        return np.array([sum(self._points[item] for item in outfit) for outfit in outfits])

    def embed(self, items: Sequence[str]) -> np.ndarray:
        angles = np.radians([self._degrees[item] for item in items])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1)

    def queries(self, contexts: Sequence[Sequence[str]], targets: Sequence[Category]) -> np.ndarray:
        assert len(contexts) == len(targets)
        return self.embed([context[0] for context in contexts])


def _question_set(questions: Sequence[Question] = (), **pools: list[str]) -> QuestionSet:
    return QuestionSet(
        [], [], {}, {"random": [], "same_category": list(questions)},
        {Category(name): pool for name, pool in pools.items()},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("scores", "true", "expected"),
    [
        # Half of the outfits that score 0.5, and all that score 0.95.
        ([0.5, 0.5, 0.95, 0.95], [True, False, True, True], 0.5 * 0 + 0.5 * 0.05),
        ([0.85] * 4, [True, False, False, False], 0.6),
        ([0.02, 0.03], [False, False], 0.025),
    ],
)
def test_calibration_error_is_how_far_scores_are_from_shares(
    scores: list[float], true: list[bool], expected: float
) -> None:
    assert calibration_error(np.array(scores), true) == pytest.approx(expected, abs=1e-6)


def test_odds_are_compared_at_the_medians() -> None:
    # Odds of 0.2 are 1/4, those of 0.8 are 4.
    assert odds_ratio(np.array([0.2, 0.1, 0.9]), np.array([0.7, 0.8, 0.9])) == pytest.approx(1 / 16)
    assert odds_ratio(np.array([0.0]), np.array([1.0])) < 1e-12


@pytest.mark.parametrize(
    ("true", "corrupted", "expected"),
    [
        ((0.9, 0.8), (0.2, 0.1), 1.0),
        ((0.1, 0.2), (0.8, 0.9), 0.0),
        ((0.9, 0.4), (0.5, 0.1), 0.75),
        ((0.5, 0.5), (0.5, 0.5), 0.5),
        ((0.7, 0.3), (0.3, 0.1), 0.875),
        # Logits, as a network in training gives them.
        ((4.0, -3.0), (-1.0, -9.0), 0.75),
    ],
)
def test_auc_is_the_chance_that_a_true_outfit_scores_higher(
    true: tuple[float, ...], corrupted: tuple[float, ...], expected: float
) -> None:
    labels = [True] * len(true) + [False] * len(corrupted)
    assert area_under_roc(np.array([*true, *corrupted]), labels) == pytest.approx(expected)


def test_auc_without_outfits_is_a_guess() -> None:
    assert area_under_roc(np.zeros(0), []) == 0.5
    assert calibration_error(np.zeros(0), []) == 0
    assert np.isnan(odds_ratio(np.zeros(0), np.array([0.5])))
    assert np.isnan(odds_ratio(np.array([0.5]), np.zeros(0)))


def test_the_blank_is_filled_by_the_best_outfit() -> None:
    questions = [
        Question(("x", "y"), Category.BAGS, ("a", "b", "c", "d"), 2),
        Question(("x",), Category.BAGS, ("d", "c", "b", "a"), 0),
        Question(("y",), Category.HATS, ("b", "d", "a", "c"), 3),
    ]
    model = Known({"x": 5.0, "y": -7.0, "a": 0.1, "b": 0.2, "c": 0.9, "d": 0.3})
    choices = fitb_choices(model, questions)
    assert choices.tolist() == [2, 1, 3]
    assert right(choices, questions).tolist() == [True, False, True]
    assert mean(right(choices, questions)) == pytest.approx(2 / 3)
    assert by_category(right(choices, questions), questions) == {"bags": 0.5, "hats": 1.0}


def test_the_blank_is_filled_by_what_lies_nearest_to_the_query() -> None:
    questions = [
        Question(("x", "y"), Category.BAGS, ("a", "b", "c", "d"), 1),
        Question(("y", "x"), Category.BAGS, ("a", "b", "c", "d"), 1),
    ]
    model = Known({}, {"x": 10, "y": 100, "a": 0, "b": 15, "c": 90, "d": 180})
    assert fitb_choices_by_query(model, questions).tolist() == [1, 2]


def test_no_questions_give_no_choices() -> None:
    for choose in (fitb_choices, fitb_choices_by_query):
        choices = choose(Known({}), [])
        assert right(choices, []).tolist() == []
        assert mean(right(choices, [])) == 0
    assert retrieval_ranks(Known({}), _question_set()).tolist() == []
    assert recall(np.zeros(0, dtype=np.int64)) == {"recall_at_1": 0, "recall_at_5": 0, "recall_at_10": 0}


def test_ranks_count_what_lies_nearer_of_the_same_category() -> None:
    degrees = {"x": 0, "bag": 20, "near": 5, "nearer": -3, "far": 90, "hat": 40, "other": 50}
    questions = [
        Question(("x",), Category.BAGS, ("bag", "near", "nearer", "far"), 0),
        Question(("x",), Category.BAGS, ("far", "bag", "near", "nearer"), 3),
        Question(("x",), Category.HATS, ("other", "hat", "hat", "hat"), 0),
        Question(("bag",), Category.BAGS, ("near", "bag", "bag", "bag"), 0),
    ]
    question_set = _question_set(questions=questions, bags=["bag", "near", "nearer", "far"], hats=["hat", "other"])
    # The last question's context holds the nearest bag of all, which does not compete.
    assert retrieval_ranks(Known({}, degrees), question_set).tolist() == [2, 0, 1, 0]


def test_a_model_that_embeds_everything_alike_finds_nothing() -> None:
    pool = [f"bag{n}" for n in range(41)]
    questions = [Question(("x",), Category.BAGS, (name, "a", "b", "c"), 0) for name in pool]
    ranks = retrieval_ranks(Known({}, dict.fromkeys([*pool, "x"], 30.0)), _question_set(questions=questions, bags=pool))
    # All 41 are equally near: half of the other 40 count as nearer.
    assert set(ranks.tolist()) == {20}
    assert recall(ranks)["recall_at_10"] == 0


def test_recall_is_the_share_of_ranks_below_k() -> None:
    ranks = np.array([0, 0, 3, 4, 5, 9, 10, 30])
    assert recall(ranks) == {"recall_at_1": 2 / 8, "recall_at_5": 4 / 8, "recall_at_10": 6 / 8}
