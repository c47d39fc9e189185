"""A model that did well or badly on each case of a judging half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from training.judged import JudgedCases


def mean_of(
    worth: Sequence[float],
    metric: str = "accuracy",
    unit: str = "cases",
    slices: Mapping[str, Sequence[int]] | None = None,
) -> JudgedCases:
    """Judged by the mean worth of its cases, and by that of each slice (name to rows)."""
    values = np.asarray(worth, dtype=np.float64)
    named = {metric: range(len(values)), **(slices or {})}

    def measure(counts: np.ndarray) -> dict[str, float]:
        result = {}
        for name, rows in named.items():
            weights = counts[list(rows)]
            result[name] = float(weights @ values[list(rows)] / weights.sum()) if weights.sum() else float("nan")
        return result

    return JudgedCases(
        unit=unit, cases=tuple(str(row) for row in range(len(values))), measure=measure,
        sizes={name: len(rows) for name, rows in (slices or {}).items()},
    )  # fmt: skip
