"""What goes together: the hidden rules that the outfit model has to discover.

Each rule gives a score in [0, 1]. Colour follows the classic harmonies (one hue, neighbouring hues, opposite hues, a triad) on
the CIE LCh wheel, with neutrals free; style, season and occasion each have an affinity between every two values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

from dataprep.synthetic.palette import colour, hue_distance_deg
from dataprep.synthetic.shop import Product
from dataprep.synthetic.wardrobe import ALL_SEASON, SEASONS

WEIGHTS = {"colour": 0.3, "style": 0.3, "season": 0.2, "occasion": 0.1, "pattern": 0.1}

_SCHEMES: tuple[tuple[tuple[float, ...], float, float], ...] = (
    # Angles from the first hue, tolerance in degrees, score of a perfect fit.
    ((0.0,), 24.0, 1.0),
    ((-28.0, 0.0, 28.0), 14.0, 0.95),
    ((0.0, 180.0), 24.0, 1.0),
    ((0.0, 120.0, 240.0), 18.0, 0.8),
)
_FORGIVENESS_DEG = 45.0

_STYLE_AFFINITY = {
    frozenset({"casual", "sporty"}): 0.5,
    frozenset({"casual", "smart"}): 0.4,
    frozenset({"casual", "bohemian"}): 0.5,
    frozenset({"casual", "elegant"}): 0.1,
    frozenset({"smart", "elegant"}): 0.6,
    frozenset({"smart", "bohemian"}): 0.1,
    frozenset({"smart", "sporty"}): 0.05,
    frozenset({"elegant", "bohemian"}): 0.15,
    frozenset({"elegant", "sporty"}): 0.0,
    frozenset({"bohemian", "sporty"}): 0.05,
}

_OCCASION_CIRCLES = (
    frozenset({"office", "dinner"}),
    frozenset({"party", "wedding", "dinner"}),
    frozenset({"weekend", "travel", "holiday"}),
    frozenset({"festival", "holiday", "weekend"}),
    frozenset({"gym", "hiking"}),
    frozenset({"hiking", "travel"}),
)


def colour_harmony(names: Sequence[str]) -> float:
    """How well the named colours fit the best of the harmonies; neutrals fit everything."""
    return _harmony(frozenset(name for name in names if not colour(name).neutral))


@cache
def _harmony(chromatic: frozenset[str]) -> float:
    hues = sorted(colour(name).hue_deg for name in chromatic)
    if len(hues) <= 1:
        return 1.0
    return max(
        top * max(0.0, 1.0 - _misfit_deg(hues, anchor, angles, tolerance) / _FORGIVENESS_DEG)
        for angles, tolerance, top in _SCHEMES
        for anchor in hues
    )


def _misfit_deg(hues: Sequence[float], anchor: float, angles: Sequence[float], tolerance: float) -> float:
    worst = max(min(hue_distance_deg(hue, anchor + angle) for angle in angles) for hue in hues)
    return max(0.0, worst - tolerance)


@cache
def style_affinity(first: str, second: str) -> float:
    return 1.0 if first == second else _STYLE_AFFINITY[frozenset({first, second})]


@cache
def season_affinity(first: str, second: str) -> float:
    """Same season 1, neighbours 0.6, opposites 0; an all-season garment fits any."""
    if ALL_SEASON in (first, second) or first == second:
        return 1.0
    steps = abs(SEASONS.index(first) - SEASONS.index(second))
    return 0.0 if steps == 2 else 0.6


@cache
def occasion_affinity(first: str, second: str) -> float:
    if first == second:
        return 1.0
    return 0.8 if any({first, second} <= circle for circle in _OCCASION_CIRCLES) else 0.2


def pattern_calm(patterns: Sequence[str]) -> float:
    """One pattern is enough."""
    return (1.0, 1.0, 0.5, 0.2)[min(3, sum(pattern != "solid" for pattern in patterns))]


def _agreement(values: Sequence[str], affinity: Callable[[str, str], float]) -> float:
    """Mean over pairs, pulled down by the garment that fits worst: one stranger spoils an outfit."""
    others = len(values) - 1
    if others < 1:
        return 1.0
    # Each value's mean affinity to the others; its affinity to itself is 1.
    means = [(sum(affinity(value, other) for other in values) - 1.0) / others for value in values]
    return (sum(means) / len(means) + min(means)) / 2


def rule_scores(products: Sequence[Product]) -> dict[str, float]:
    """Score of each rule, in [0, 1], keyed as `WEIGHTS`."""
    return {
        "colour": colour_harmony([product.colour for product in products]),
        "style": _agreement([product.style for product in products], style_affinity),
        "season": _agreement([product.season for product in products], season_affinity),
        "occasion": _agreement([product.occasion for product in products], occasion_affinity),
        "pattern": pattern_calm([product.pattern for product in products]),
    }


def compatibility(products: Sequence[Product]) -> float:
    """Weighted mean of the rules, in [0, 1]."""
    scores = rule_scores(products)
    return sum(weight * scores[name] for name, weight in WEIGHTS.items())
