"""Is one model better than another, or is it chance? A paired bootstrap over the cases of the judging half.

The cases (photos, outfits, conversations) are drawn again with replacement, and both models are measured on the same draw:
what is hard for both does not count as noise (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, sections 10.3 and
13.3; Koehn, EMNLP 2004, section 4). The interval covers the choice of the cases, not the seed of a training.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import DegenerateDataWarning, bootstrap, norm

from training.judged import Finding, JudgedCases

_RESAMPLES = 1000
_CONFIDENCE = 0.95
_POWER = 0.8


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How far apart two models are in one metric.

    Attributes:
        new, old: value of each.
        low, high: ends of the 95 % interval of `new` - `old`.
        standard_error: of the difference.
    """

    new: float
    old: float
    low: float
    high: float
    standard_error: float

    @property
    def gain(self) -> float:
        """`new` - `old`."""
        return self.new - self.old

    @property
    def finding(self) -> Finding:
        """What the interval says."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "cannot tell"

    @property
    def detectable(self) -> float:
        """Smallest true gain that is found in four comparisons of five: the power of the comparison, as a gain."""
        return float(norm.ppf((1 + _CONFIDENCE) / 2) + norm.ppf(_POWER)) * self.standard_error

    def as_dict(self) -> dict[str, Any]:
        """For JSON: None where nothing could be drawn."""
        values = asdict(self) | {"gain": self.gain, "detectable": self.detectable}
        return {name: finite(value) for name, value in values.items()} | {"finding": self.finding}


def finite(value: float) -> float | None:
    """The value, or None for what JSON cannot hold."""
    return value if math.isfinite(value) else None


def differences(new: JudgedCases, old: JudgedCases, seed: int) -> dict[str, Difference]:
    """Every metric that both have, with its interval.

    Raises:
        ValueError: they were measured on different cases.
    """
    if new.cases != old.cases:
        raise ValueError(f"two models must be compared on the same {new.unit}")
    n = len(new.cases)
    values, others = new.values, old.values
    names = [name for name in values if name in others]
    if not names:
        return {}

    def gains(rows: np.ndarray, axis: int = -1) -> np.ndarray:  # noqa: ARG001 - scipy passes it; the cases are the last axis
        drawn = [np.bincount(draw, minlength=n) for draw in rows.reshape(-1, n)]
        measured = [(new.measure(counts), old.measure(counts)) for counts in drawn]
        result = np.array([[a[name] - b[name] for a, b in measured] for name in names])
        return result.reshape(len(names), *rows.shape[:-1])

    if n < 2:  # nothing can be drawn from one case
        low = high = error = np.full(len(names), np.nan)
    else:
        # A draw without any case of a slice says nothing about it; models that answer alike do not differ in any draw.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DegenerateDataWarning)
            warnings.simplefilter("ignore", RuntimeWarning)
            drawn = bootstrap(
                (np.arange(n),), gains, vectorized=True, n_resamples=_RESAMPLES, batch=100, confidence_level=_CONFIDENCE,
                method="percentile", rng=np.random.default_rng(seed),
            ).bootstrap_distribution  # fmt: skip
            tail = (1 - _CONFIDENCE) / 2
            low, high = np.nanquantile(drawn, [tail, 1 - tail], axis=-1)
            error = np.nanstd(drawn, axis=-1, ddof=1)
    return {
        name: Difference(
            new=values[name], old=others[name], low=float(low[row]), high=float(high[row]),
            standard_error=float(error[row]),
        )
        for row, name in enumerate(names)
    }  # fmt: skip
