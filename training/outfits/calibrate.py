"""Fit on validation outfits how a score becomes a probability; see `inference.outfits.calibration`.

First how much the network, words and categories weigh against each other, where it matters: in choosing one of four garments
(a conditional logit, McFadden, 1974). Then temperature and intercept (Platt scaling, section 4.2 of arXiv 1706.04599), and last
beta calibration of what these give (Kull, Silva Filho and Flach, AISTATS 2017).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import log_expit, logsumexp
from sklearn.linear_model import LogisticRegression

from inference.outfits.calibration import Weights

_MIN_SLOPE = 0.05
_PENALTY = 1e-3
"""On the squared weights of standardised evidence: validation splits may be small, or right in every question."""


def fit(choices: np.ndarray, answers: Sequence[int], evidence: np.ndarray, true: Sequence[bool]) -> Weights:
    """The weights of a network's logit and of the affinities of words and of categories, in the order of the evidence.

    Args:
        choices: float `(Q, C, 3)`: evidence (`OutfitModel.evidence`) of an outfit with each of the candidates of a question.
        answers: which candidate is the true one.
        evidence: float `(B, 3)` of further outfits.
        true: which of these were worn; of both kinds there is one.
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
    low, high, shift = _beta(platt.decision_function((evidence @ found)[:, None]), worn)
    return Weights(
        network=network, words=words, categories=categories, intercept=float(platt.intercept_[0]),
        low=low, high=high, shift=shift,
    )  # fmt: skip


def _beta(logits: np.ndarray, worn: np.ndarray) -> tuple[float, float, float]:
    """Slopes below and above 0, and shift, of the map from float `(B,)` logits to those of the share that was worn."""
    mass = np.where(worn, 0.5 / worn.mean(), 0.5 / (1 - worn.mean()))
    terms = np.column_stack((log_expit(logits), -log_expit(-logits), np.ones(len(logits))))

    def misfit(numbers: np.ndarray) -> float:
        return float(-(mass * log_expit(np.where(worn, 1, -1) * (terms @ numbers))).mean())

    # No slope is flat: better evidence gives a higher score.
    bounds = [(_MIN_SLOPE, None), (_MIN_SLOPE, None), (None, None)]
    low, high, shift = minimize(misfit, (1.0, 1.0, 0.0), method="L-BFGS-B", bounds=bounds).x
    return float(low), float(high), float(shift)
