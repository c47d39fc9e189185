"""From what is measured of an outfit to the probability that it is worn.

The network's logit is divided by a temperature (arXiv 1706.04599, section 4.2), and what the counts of terms say is added. Two
garments show less than five, so the sum has another slope and shift for few garments than for many. Beta calibration (Kull, Silva
Filho and Flach, AISTATS 2017) gives it one slope below 0 and another above. How much each is worth depends on the titles: a
caller's says more than one that a picture gives. The numbers are fitted on validation outfits (`training.outfits.calibrate`),
whole ones and parts, of which half are true and half corrupted: that is the prior of a score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from aura.settings import Section

Numbers = TypeVar("Numbers", Tensor, np.ndarray)


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
    few_slope: float = Field(default=1.0, ge=0)
    """What that sum is multiplied by for two garments, and for one."""
    few_shift: float = 0.0
    """Added to it there."""
    many_slope: float = Field(default=1.0, ge=0)
    """What it is multiplied by for ever more garments; for N of them, 2 / N of the way lies towards `few_slope`."""
    many_shift: float = 0.0
    """Added to it there."""
    low: float = Field(default=1.0, ge=0)
    """Slope of the logit where the sum is far below 0."""
    high: float = Field(default=1.0, ge=0)
    """Its slope far above 0."""
    shift: float = 0.0
    """Added to the logit."""

    def logits(self, evidence_B3: Tensor, garments_B: Tensor) -> Tensor:
        """Calibrated logits `(B,)` of outfits of so many garments each."""
        network_B, words_B, categories_B = evidence_B3.unbind(dim=1)
        sum_B = self.intercept + self.network * network_B + self.words * words_B + self.categories * categories_B
        sum_B = by_size(
            sum_B, fewness(garments_B), (self.few_slope, self.many_slope), (self.few_shift, self.many_shift)
        )
        return self.shift + self.low * logsigmoid(sum_B) - self.high * logsigmoid(-sum_B)


class Calibration(Section):
    """Weights for outfits whose garments have titles and for those without; in between they are mixed."""

    titled: Weights = Weights()
    untitled: Weights = Weights()

    def logits(self, evidence_B3: Tensor, titled_B: Tensor, garments_B: Tensor) -> Tensor:
        """Calibrated logits `(B,)`, of which the sigmoid is the probability.

        Args:
            evidence_B3: float32; logit of the network, mean affinity of words and of categories.
            titled_B: share in [0, 1] of the outfit's garments that have a title of their own.
            garments_B: float32; number of garments.
        """
        untitled_B, titled_logits_B = (
            weights.logits(evidence_B3, garments_B) for weights in (self.untitled, self.titled)
        )
        return torch.lerp(untitled_B, titled_logits_B, titled_B)


def fewness(garments_B: Tensor) -> Tensor:
    """In [0, 1]: 1 for one garment and two, 2 / N for N."""
    return (2 / garments_B).clamp(max=1.0)


def by_size(
    sum_B: Numbers, few_B: Numbers, slopes: Sequence[float] | np.ndarray, shifts: Sequence[float] | np.ndarray
) -> Numbers:
    """`(B,)` sums with the slope and shift of their number of garments; `slopes` and `shifts` are of few and of many."""
    slope_B = few_B * slopes[0] + (1 - few_B) * slopes[1]
    return slope_B * sum_B + few_B * shifts[0] + (1 - few_B) * shifts[1]
