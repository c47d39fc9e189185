"""The fit of a score: what tells garments apart weighs, and the score becomes the share of outfits that were worn."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inference.outfits.calibration import Weights
from training.outfits import calibrate
from training.outfits.metrics import calibration_error

_SCALE = np.array([5.0, 0.2, 1.0])


def _outfits(count: int, seed: int) -> tuple[np.ndarray, list[bool]]:
    """Evidence of which the first two columns tell true outfits apart, ten times too large and fifty times too small."""
    rng = np.random.default_rng(seed)
    true = rng.random(count) < 0.5
    evidence = rng.normal(size=(count, 3)) + np.where(true[:, None], [1.0, 0.5, 0.0], [-1.0, -0.5, 0.0])
    return evidence * _SCALE, true.tolist()


def _choices(count: int, seed: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(seed)
    answers = rng.integers(4, size=count)
    choices = rng.normal(size=(count, 4, 3))
    choices[np.arange(count), answers] += [2.0, 1.0, 0.0]
    return choices * _SCALE, answers.tolist()


def _of_four(evidence: np.ndarray | torch.Tensor) -> torch.Tensor:
    return torch.full((len(evidence),), 4.0)


def test_scores_are_shares_and_what_says_nothing_weighs_nothing() -> None:
    choices, answers = _choices(3000, seed=1)
    weights = calibrate.fit(choices, answers, *_outfits(3000, seed=2), [4] * 3000)
    # The logit of two normal classes of unit deviation is twice the product of means and values: 2 and 1, over the scale.
    assert weights.network * _SCALE[0] == pytest.approx(2, rel=0.15)
    assert weights.words * _SCALE[1] == pytest.approx(1, rel=0.2)
    assert weights.categories * _SCALE[2] == pytest.approx(0, abs=0.15)
    evidence, true = _outfits(3000, seed=3)
    scores = torch.sigmoid(weights.logits(torch.from_numpy(evidence), _of_four(evidence))).numpy()
    assert calibration_error(scores, true) < 0.03


def test_few_true_outfits_do_not_lower_the_score() -> None:
    evidence, true = _outfits(4000, seed=2)
    kept = [row for row, worn in enumerate(true) if not worn or row % 5 == 0]
    choices, answers = _choices(1000, seed=1)
    whole = calibrate.fit(choices, answers, evidence, true, [4] * len(true))
    fewer = calibrate.fit(choices, answers, evidence[kept], [true[row] for row in kept], [4] * len(kept))
    assert fewer.intercept == pytest.approx(whole.intercept, abs=0.25)


def test_an_affinity_that_misleads_is_left_out_and_not_turned_around() -> None:
    choices, answers = _choices(500, seed=1)
    choices[:, :, 1] *= -1
    weights = calibrate.fit(choices, answers, *_outfits(500, seed=2), [4] * 500)
    assert weights.words == pytest.approx(0, abs=1e-6)
    assert weights.network > 0


def test_scores_are_shares_where_no_temperature_fits_both_ends() -> None:
    """Evidence of two skewed classes."""
    rng = np.random.default_rng(5)
    true = rng.random(8000) < 0.5
    column = np.where(true, rng.gamma(9.0, 0.3, 8000), rng.gamma(1.5, 1.0, 8000))
    evidence = np.column_stack((column, np.zeros((8000, 2))))
    choices, answers = _choices(1000, seed=1)
    weights = calibrate.fit(choices, answers, evidence[:4000], true[:4000].tolist(), [4] * 4000)
    rest = torch.from_numpy(evidence[4000:])
    logits = weights.logits(rest, _of_four(rest)).numpy()
    scores = 1 / (1 + np.exp(-logits))
    platt = weights.model_copy(update={"low": 1.0, "high": 1.0, "shift": 0.0})
    unbent = torch.sigmoid(platt.logits(rest, _of_four(rest))).numpy()
    assert calibration_error(scores, true[4000:].tolist()) < 0.9 * calibration_error(unbent, true[4000:].tolist())
    order = np.argsort(evidence[4000:, 0])
    assert (np.diff(logits[order]) >= 0).all()
    assert len(np.unique(logits.round(6))) > 3500


def test_what_two_garments_say_counts_less_than_what_six_say() -> None:
    """Of two garments the evidence is three times as large as it deserves, and leans to false."""

    def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        evidence, true = _outfits(6000, seed)
        garments = np.random.default_rng(seed).choice([2, 6], 6000)
        return np.where(garments[:, None] == 2, 3 * evidence - 2 * _SCALE, evidence), np.array(true), garments

    evidence, true, garments = drawn(2)
    choices, answers = _choices(1000, seed=1)
    weights = calibrate.fit(choices, answers, evidence, true.tolist(), garments.tolist())
    alike = weights.model_copy(update={"few_slope": 1.0, "few_shift": 0.0, "many_slope": 1.0, "many_shift": 0.0})
    evidence, true, garments = drawn(7)

    def error(fitted: Weights, size: int) -> float:
        rows = garments == size
        logits = fitted.logits(torch.from_numpy(evidence[rows]), torch.from_numpy(garments[rows]).double())
        return calibration_error(torch.sigmoid(logits).numpy(), true[rows].tolist())

    assert error(weights, 2) < 0.04
    assert error(weights, 6) < 0.04
    assert error(alike, 2) > 0.1
