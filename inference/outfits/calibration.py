"""From what is measured of an outfit to the probability that it is worn.

The network's logit is divided by a temperature (arXiv 1706.04599, section 4.2), what the counts of terms say is added, and beta
calibration (Kull, Silva Filho and Flach, AISTATS 2017) gives the sum one slope below 0 and another above. How much each is worth
depends on the titles: a caller's says more than one that a picture gives. The numbers are fitted on validation outfits
(`training.outfits.calibrate`), of which half are true and half corrupted: that is the prior of a score.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from aura.settings import Section


class Weights(Section):
    """Of the evidence and of the map to a probability; the default passes the network's logit on."""

    network: float = 1.0
    """Weight of the network's logit: 1 divided by the temperature."""
    words: float = 0.0
    """Weight of the mean affinity of words."""
    categories: float = 0.0
    """Weight of the mean affinity of categories."""
    intercept: float = 0.0
    """Added to the weighted evidence."""
    low: float = Field(default=1.0, ge=0)
    """Slope of the logit where the weighted evidence is far below 0."""
    high: float = Field(default=1.0, ge=0)
    """Its slope far above 0."""
    shift: float = 0.0
    """Added to the logit."""

    def logits(self, evidence_B3: Tensor) -> Tensor:
        """Calibrated logits `(B,)`."""
        network_B, words_B, categories_B = evidence_B3.unbind(dim=1)
        sum_B = self.intercept + self.network * network_B + self.words * words_B + self.categories * categories_B
        return self.shift + self.low * logsigmoid(sum_B) - self.high * logsigmoid(-sum_B)


class Calibration(Section):
    """Weights for outfits whose garments have titles and for those without; in between they are mixed."""

    titled: Weights = Weights()
    untitled: Weights = Weights()

    def logits(self, evidence_B3: Tensor, titled_B: Tensor) -> Tensor:
        """Calibrated logits `(B,)`, of which the sigmoid is the probability.

        Args:
            evidence_B3: float32; logit of the network, mean affinity of words and of categories.
            titled_B: share in [0, 1] of the outfit's garments that have a title of their own.
        """
        return torch.lerp(self.untitled.logits(evidence_B3), self.titled.logits(evidence_B3), titled_B)
