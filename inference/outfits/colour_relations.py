"""How the colours of two garments stand to each other on the hue circle of CIELAB, from their measured values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from inference.colours import DominantColour

Relation = Literal["neutral", "accent", "tonal", "analogous", "complementary", "contrasting"]
_NEUTRALS = frozenset(
    {"black", "charcoal", "grey", "light grey", "white", "cream", "beige", "tan", "dark brown", "olive", "navy"}
)
"""Colours that go beside any hue, as `data/knowledge/neutrals-and-navy.md` names them; camel is `tan` here, chocolate `dark
brown`."""
_NEUTRAL_CHROMA = 14.0
_DARK, _DARK_CHROMA = 22.0, 26.0
"""Lightness below which a colour is worn as a neutral though it has a hue, as navy is."""
_TONAL, _ANALOGOUS, _OPPOSITE = 25.0, 60.0, 145.0
"""Degrees between two hues."""


@dataclass(frozen=True)
class ColourRelation:
    """How two colours stand to each other.

    Attributes:
        apart: degrees between their hues, 0 to 180; None when one has no hue to speak of, or both have one name.
    """

    name: Relation
    apart: float | None

    def words(self, first: str, second: str) -> str:
        """The relation as a sentence about two colours, each said as `the navy of Wool trousers`."""
        if self.name == "neutral":
            return f"{first} and {second} are both neutrals"
        if self.name == "accent":
            return f"{first} is the accent beside {second}, a neutral"
        if self.apart is None:
            return f"{first} and {second} are one colour"
        said = {
            "tonal": "are tones of one hue",
            "analogous": "are neighbours on the colour circle",
            "complementary": "lie opposite each other on the colour circle",
            "contrasting": "are far apart on the colour circle without being opposite",
        }[self.name]
        return f"{first} and {second} {said} ({self.apart:.0f} degrees apart)"


def relation(first: DominantColour, second: DominantColour) -> ColourRelation:
    """Of two colours; symmetric."""
    neutral = is_neutral(first) + is_neutral(second)
    if first.name == second.name and not (_lacks_hue(first) and _lacks_hue(second)):  # two navies, and not two greys
        return ColourRelation("tonal", None)
    if neutral:
        return ColourRelation("neutral" if neutral == 2 else "accent", None)
    apart = abs(_hue(first) - _hue(second)) % 360
    apart = min(apart, 360 - apart)
    if apart <= _TONAL:
        return ColourRelation("tonal", apart)
    if apart <= _ANALOGOUS:
        return ColourRelation("analogous", apart)
    return ColourRelation("complementary" if apart >= _OPPOSITE else "contrasting", apart)


def is_neutral(colour: DominantColour) -> bool:
    """Whether it goes beside any hue: by its name, or because it hardly has a hue itself."""
    return colour.name in _NEUTRALS or _lacks_hue(colour)


def _lacks_hue(colour: DominantColour) -> bool:
    """Black, white, greys, and the darkest of all hues."""
    lightness, a, b = colour.lab
    chroma = math.hypot(a, b)
    return chroma < _NEUTRAL_CHROMA or (lightness < _DARK and chroma < _DARK_CHROMA)


def _hue(colour: DominantColour) -> float:
    return math.degrees(math.atan2(colour.lab[2], colour.lab[1]))
