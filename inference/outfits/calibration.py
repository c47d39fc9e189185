"""From what is measured of an outfit to the probability that it is worn: Platt scaling, section 4.2 of arXiv 1706.04599.

The network's logit is divided by a temperature, as there, and what the counts of terms say is added. All four numbers are fitted
on validation outfits (`training.outfits.calibrate`), of which half are true and half corrupted: that is the prior of a score.
"""

from __future__ import annotations

from torch import Tensor

from aura.settings import Section


class Calibration(Section):
    """Weights of a logistic regression; the default passes the network's logit on."""

    network: float = 1.0
    """Weight of the network's logit: 1 divided by the temperature."""
    words: float = 0.0
    """Weight of the mean affinity of words."""
    categories: float = 0.0
    """Weight of the mean affinity of categories."""
    intercept: float = 0.0

    def logits(self, network_B: Tensor, words_B: Tensor, categories_B: Tensor) -> Tensor:
        """Calibrated logits `(B,)`, of which the sigmoid is the probability."""
        return self.intercept + self.network * network_B + self.words * words_B + self.categories * categories_B
