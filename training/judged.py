"""The judging half of a test split: which cases it holds, and one model on them as a function of how often each counts.

Settings and specs name these types, and every command reads the settings: nothing heavy is imported here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

_MIN_HALF = 10
"""Cases below which a half says nothing."""

Finding = Literal["better", "worse", "cannot tell"]


@dataclass(frozen=True, kw_only=True, eq=False)
class JudgedCases:
    """One model on the judging half, as a function of how often each case counts.

    Attributes:
        unit: what is drawn, in the plural: photos, outfits, conversations.
        cases: id of each case, in order; two models can be compared only on the same ones.
        measure: counts, int (N,), to metrics; all ones give the metrics of the half itself. A metric that the counts leave
            undefined is NaN.
        sizes: metric of a slice (`category shoes`) to its number of test cases. Other metrics are over the whole half.
    """

    unit: str
    cases: tuple[str, ...]
    measure: Callable[[np.ndarray], Mapping[str, float]]
    sizes: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def values(self) -> Mapping[str, float]:
        """Metrics of the half itself."""
        return self.measure(np.ones(len(self.cases), dtype=np.int64))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JudgedCases) and (self.cases, self.values) == (other.cases, other.values)

    __hash__ = None  # type: ignore[assignment]


def judging_half(cases: Sequence[str]) -> np.ndarray:
    """bool (N,): which cases of a test split judge; the others are reported, and choose nothing.

    A case never changes sides, as its id decides. A split too small for two halves judges with all of its cases.
    """
    judges = np.array([hashlib.sha256(f"judge/{case}".encode()).digest()[0] % 2 == 0 for case in cases], dtype=bool)
    if min(judges.sum(), (~judges).sum()) < _MIN_HALF:
        return np.ones(len(cases), dtype=bool)
    return judges


def reported_half(judges: np.ndarray) -> np.ndarray:
    """bool (N,): the cases that judge nothing, or all where `judging_half` could not part them."""
    return np.ones_like(judges) if judges.all() else ~judges
