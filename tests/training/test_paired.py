"""The paired bootstrap: what it finds of equal, better and worse models, and which cases judge."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from tests.training.paired_cases import mean_of
from training.judged import judging_half, reported_half
from training.paired import differences


def test_models_that_answer_alike_cannot_be_told_apart() -> None:
    difference = differences(mean_of([1, 0, 1, 0]), mean_of([1, 0, 1, 0]), seed=7)["accuracy"]
    assert (difference.gain, difference.low, difference.high, difference.finding) == (0, 0, 0, "cannot tell")


def test_what_is_hard_for_both_is_no_noise() -> None:
    """The same small gain: on the same cases certain, on another model's cases lost in the noise."""
    rng = np.random.default_rng(1)
    worth = rng.random(200)
    paired = differences(mean_of(worth + 0.02), mean_of(worth), seed=7)["accuracy"]
    assert paired.finding == "better"
    unpaired = differences(mean_of(rng.random(200) + 0.02), mean_of(worth), seed=7)["accuracy"]
    assert unpaired.standard_error > 100 * paired.standard_error


def test_the_interval_is_that_of_the_normal_approximation_for_a_mean() -> None:
    rng = np.random.default_rng(2)
    new, old = rng.random(400), rng.random(400)
    difference = differences(mean_of(new), mean_of(old), seed=7)["accuracy"]
    expected = (new - old).std(ddof=1) / math.sqrt(400)
    assert difference.standard_error == pytest.approx(expected, rel=0.1)
    assert difference.high - difference.low == pytest.approx(2 * 1.96 * expected, rel=0.1)
    assert difference.detectable == pytest.approx((1.96 + 0.8416) * expected, rel=0.1)


def test_equal_models_are_seldom_called_better_and_truly_better_ones_mostly() -> None:
    """Of models with independent mistakes on the same 150 cases, as retrainings make them."""
    rng = np.random.default_rng(3)

    def finding(skill: float) -> str:
        old, new = rng.random(150) < 0.5, rng.random(150) < skill
        return differences(mean_of(new), mean_of(old), seed=7)["accuracy"].finding

    equal = [finding(0.5) for _ in range(40)]
    assert equal.count("better") <= 4
    assert equal.count("cannot tell") >= 34
    # Three standard errors of the difference (0.058) better.
    assert [finding(0.5 + 3 * 0.058) for _ in range(20)].count("better") >= 14
    assert finding(0.1) == "worse"


def test_slices_have_intervals_of_their_own() -> None:
    slices = {"category shoes": range(50), "category hats": range(50, 100)}
    new, old = mean_of([0.2] * 50 + [0.9] * 50, slices=slices), mean_of([0.8] * 50 + [0.1] * 50, slices=slices)
    found = differences(new, old, seed=7)
    assert found["category shoes"].finding == "worse"
    assert found["category hats"].finding == "better"
    assert found["category shoes"].old == pytest.approx(0.8)


def test_a_draw_without_any_case_of_a_slice_says_nothing_about_it() -> None:
    slices = {"category hats": [0]}
    found = differences(mean_of([1, 0, 1], slices=slices), mean_of([0, 0, 1], slices=slices), seed=7)
    assert found["category hats"].low == found["category hats"].high == 1


def test_one_case_gives_no_interval_and_json_holds_no_nan() -> None:
    difference = differences(mean_of([1]), mean_of([0]), seed=7)["accuracy"]
    assert difference.finding == "cannot tell"
    written = json.loads(json.dumps(difference.as_dict(), allow_nan=False))
    assert (written["gain"], written["low"], written["detectable"]) == (1, None, None)


def test_models_measured_on_different_cases_are_not_compared() -> None:
    with pytest.raises(ValueError, match="on the same cases"):
        differences(mean_of([1, 0]), mean_of([1, 0, 1]), seed=7)


def test_the_halves_share_no_case_and_a_case_never_changes_sides() -> None:
    cases = [f"photo-{number}.jpg" for number in range(300)]
    judges = judging_half(cases)
    assert not (judges & reported_half(judges)).any()
    assert (judges | reported_half(judges)).all()
    assert 120 <= judges.sum() <= 180
    fewer = judging_half(cases[::3])
    assert (fewer == judges[::3]).all()


def test_too_few_cases_are_not_parted() -> None:
    judges = judging_half(["a", "b", "c"])
    assert judges.all()
    assert reported_half(judges).all()
