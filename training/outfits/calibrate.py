"""Fit on validation outfits how a score becomes a probability; see `inference.outfits.calibration`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.linear_model import LogisticRegression

from inference.outfits.calibration import Calibration

_C = 1.0
"""Inverse strength of the L2 penalty on the weights of standardised inputs: validation splits may be small."""


def fit(evidence: np.ndarray, true: Sequence[bool]) -> Calibration:
    """The calibration of a network.

    Args:
        evidence: float `(B, 3)`, see `OutfitModel.evidence`: logit of the network, affinities of words and of categories.
        true: which outfits were worn; of both kinds there is one.
    """
    deviation = np.maximum(evidence.std(axis=0), 1e-6)
    # Equal mass for true and corrupted outfits, however many there are: the prior of a score is one half.
    fitted = LogisticRegression(C=_C, class_weight="balanced").fit(evidence / deviation, np.asarray(true, dtype=int))
    network, words, categories = (float(weight) for weight in fitted.coef_[0] / deviation)
    return Calibration(network=network, words=words, categories=categories, intercept=float(fitted.intercept_[0]))
