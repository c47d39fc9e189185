"""Rules of declining that are known by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from inference.chat.declining import DeclineRule
from inference.chat.familiarity import SIGNS

_EMBEDDING = 384
"""Length of the default text embedder's vectors."""


def declines_below(sign: str, border: float, dim: int = _EMBEDDING) -> DeclineRule:
    """Declines where one sign is below a border: two questions stand at either side of it, and no other column counts."""
    columns = len(SIGNS) + dim
    scale, vectors = np.full(columns, 1e9, dtype=np.float32), np.zeros((2, columns), dtype=np.float32)
    scale[SIGNS.index(sign)] = 1.0
    vectors[:, SIGNS.index(sign)] = border - 0.3, border + 0.3
    coefficients = np.array([1.0, -1.0], dtype=np.float32)
    return DeclineRule(
        low=np.full_like(scale, -1e6), high=np.full_like(scale, 1e6), scale=scale, vectors=vectors, coefficients=coefficients,
        intercept=0.0, gamma=1.0,
    )  # fmt: skip


def declines_all(dim: int = _EMBEDDING) -> DeclineRule:
    """A rule without questions, whose intercept alone decides."""
    columns = len(SIGNS) + dim
    ones, nothing = np.ones(columns, dtype=np.float32), np.zeros((0, columns), dtype=np.float32)
    return DeclineRule(
        low=-ones, high=ones, scale=ones, vectors=nothing, coefficients=nothing[:, 0], intercept=1.0, gamma=1.0
    )  # fmt: skip


def same_rule(one: DeclineRule | None, other: DeclineRule | None) -> bool:
    """Whether two rules, which are not None, are the same to the last digit of float32."""
    assert one is not None
    assert other is not None
    mine, others = asdict(one), asdict(other)
    return all(np.array_equal(np.float32(mine[name]), np.float32(others[name])) for name in mine)
