"""Fit on validation outfits how a score becomes a probability; see `inference.outfits.calibration`.

First how much the network, words and categories weigh against each other, where it matters: in choosing one of four garments
(a conditional logit, McFadden, 1974). Then temperature and intercept (Platt scaling, section 4.2 of arXiv 1706.04599), both once
more by the number of garments, and last beta calibration of what these give (Kull, Silva Filho and Flach, AISTATS 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.special import log_expit, logsumexp
from sklearn.linear_model import LogisticRegression

from inference.outfits.calibration import Weights, by_size, fewness

_MIN_SLOPE = 0.05
_PENALTY = 1e-3
"""On the squared weights of standardised evidence: validation splits may be small, or right in every question."""


def fit(
    choices: np.ndarray, answers: Sequence[int], evidence: np.ndarray, true: Sequence[bool], garments: Sequence[int]
) -> Weights:
    """The weights of a network's logit and of the affinities of words and of categories, in the order of the evidence.

    Args:
        choices: float `(Q, C, 3)`: evidence (`OutfitModel.evidence`) of an outfit with each of the candidates of a question.
        answers: which candidate is the true one.
        evidence: float `(B, 3)` of further outfits.
        true: which of these were worn; of both kinds there is one.
        garments: how many garments each of these has.
    """
    deviation = np.maximum(evidence.std(axis=0), 1e-6)
    scaled = choices / deviation
    row = np.arange(len(answers))

    def loss(weights: np.ndarray) -> float:
        utility = scaled @ weights
        misfit = logsumexp(utility, axis=1) - utility[row, list(answers)]
        return float(misfit.mean() + _PENALTY * weights @ weights)

    # Positive: counts of a few outfits must not turn an affinity into its opposite.
    found = minimize(loss, np.ones(3), method="L-BFGS-B", bounds=[(0.0, None)] * 3).x / deviation
    # Equal mass for true and corrupted outfits, however many there are: the prior of a score is one half.
    worn = np.asarray(true, dtype=bool)
    platt = LogisticRegression(C=100.0, class_weight="balanced").fit((evidence @ found)[:, None], worn)
    network, words, categories = (float(weight) for weight in platt.coef_[0, 0] * found)
    sums = platt.decision_function((evidence @ found)[:, None])
    few = fewness(torch.tensor(garments, dtype=torch.float64)).numpy()
    slopes, shifts = _of_sizes(sums, few, worn)
    low, high, shift = _beta(by_size(sums, few, slopes, shifts), worn)
    return Weights(
        network=network, words=words, categories=categories, intercept=float(platt.intercept_[0]),
        few_slope=slopes[0], many_slope=slopes[1], few_shift=shifts[0], many_shift=shifts[1],
        low=low, high=high, shift=shift,
    )  # fmt: skip


def _of_sizes(sums: np.ndarray, few: np.ndarray, worn: np.ndarray) -> tuple[list[float], list[float]]:
    """Platt scaling with one slope and intercept for few garments and another for many: the slopes, and the intercepts."""
    mass = _equal_mass(worn)

    def misfit(numbers: np.ndarray) -> float:
        return float(-(mass * log_expit(np.where(worn, 1, -1) * by_size(sums, few, numbers[:2], numbers[2:]))).mean())

    bounds = [(_MIN_SLOPE, None), (_MIN_SLOPE, None), (None, None), (None, None)]
    found = minimize(misfit, (1.0, 1.0, 0.0, 0.0), method="L-BFGS-B", bounds=bounds).x.tolist()
    return found[:2], found[2:]


def _equal_mass(worn: np.ndarray) -> np.ndarray:
    """Weights under which true and corrupted outfits count alike."""
    return np.where(worn, 0.5 / worn.mean(), 0.5 / (1 - worn.mean()))


def _beta(logits: np.ndarray, worn: np.ndarray) -> tuple[float, float, float]:
    """Slopes below and above 0, and shift, of the map from float `(B,)` logits to those of the share that was worn."""
    mass = _equal_mass(worn)
    terms = np.column_stack((log_expit(logits), -log_expit(-logits), np.ones(len(logits))))

    def misfit(numbers: np.ndarray) -> float:
        return float(-(mass * log_expit(np.where(worn, 1, -1) * (terms @ numbers))).mean())

    # No slope is flat: better evidence gives a higher score.
    bounds = [(_MIN_SLOPE, None), (_MIN_SLOPE, None), (None, None)]
    low, high, shift = minimize(misfit, (1.0, 1.0, 0.0), method="L-BFGS-B", bounds=bounds).x
    return float(low), float(high), float(shift)
