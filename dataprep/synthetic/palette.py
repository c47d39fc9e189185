"""Named colours of the sample shop and their place on the CIE LCh colour wheel.

Hues are measured in CIE LCh(ab) under D65, where equal angles look about equally far apart; HSV crowds the greens and
stretches the oranges. Colours of low chroma, and those that dress codes treat as such (navy, indigo, camel, brown), are
neutrals: they go with every hue.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Colour:
    """A named colour; `hue_deg` in [0, 360), `chroma` and `lightness` in CIE LCh units."""

    name: str
    rgb: RGB
    neutral: bool
    lightness: float
    chroma: float
    hue_deg: float


_NEUTRALS = {
    "black": "#232327",
    "white": "#f7f6f3",
    "ivory": "#f0e7d4",
    "grey": "#9b9da2",
    "charcoal": "#494c53",
    "beige": "#d9c5a8",
    "camel": "#bd8f5c",
    "brown": "#6d4832",
    "navy": "#232f5c",
    "indigo": "#35507f",
    "light-wash": "#8dabcf",
    "gold": "#d9a93f",
    "silver": "#b9bec7",
}

_HUES = {
    "pink": "#f2a3bb",
    "coral": "#f2806f",
    "red": "#cb2735",
    "burgundy": "#701f36",
    "rust": "#b4532a",
    "orange": "#ef8530",
    "mustard": "#d29e24",
    "yellow": "#f3d243",
    "olive": "#70753a",
    "sage": "#a3b899",
    "green": "#2f9150",
    "emerald": "#0f7a5c",
    "mint": "#a6dec5",
    "teal": "#1d7c80",
    "turquoise": "#3fb8bf",
    "sky blue": "#8cc2ea",
    "blue": "#2d63ca",
    "lavender": "#b9a7e3",
    "purple": "#6d3f9b",
    "fuchsia": "#d02f88",
}


def _rgb(code: str) -> RGB:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


@cache
def lch(rgb: RGB) -> tuple[float, float, float]:
    """Lightness (0-100), chroma (0 to about 130) and hue (degrees) of an sRGB colour, D65 white."""
    red, green, blue = (_linear(channel / 255) for channel in rgb)
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    fx, fy, fz = _lab_curve(x), _lab_curve(y), _lab_curve(z)
    a, b = 500 * (fx - fy), 200 * (fy - fz)
    return 116 * fy - 16, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360


def _linear(channel: float) -> float:
    return channel / 12.92 if channel <= 0.04045 else float(((channel + 0.055) / 1.055) ** 2.4)


def _lab_curve(value: float) -> float:
    return value ** (1 / 3) if value > (6 / 29) ** 3 else value / (3 * (6 / 29) ** 2) + 4 / 29


@cache
def colour(name: str) -> Colour:
    """The colour of that name.

    Raises:
        ValueError: unknown name.
    """
    code = _NEUTRALS.get(name) or _HUES.get(name)
    if code is None:
        raise ValueError(f"unknown colour {name!r}; known: {', '.join(colour_names())}")
    lightness, chroma, hue = lch(_rgb(code))
    return Colour(name, _rgb(code), name in _NEUTRALS, lightness, chroma, hue)


def colour_names() -> tuple[str, ...]:
    return (*_NEUTRALS, *_HUES)


def chromatic_names() -> tuple[str, ...]:
    """Colours that take part in colour harmony."""
    return tuple(_HUES)


def hue_distance_deg(first: float, second: float) -> float:
    """Angle between two hues, in [0, 180]."""
    return abs((first - second + 180) % 360 - 180)


def mix(first: RGB, second: RGB, share: float) -> RGB:
    """Linear mix in sRGB; `share` in [0, 1] is the part of the second colour."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def darker(rgb: RGB, share: float = 0.25) -> RGB:
    return mix(rgb, (20, 16, 28), share)


def lighter(rgb: RGB, share: float = 0.25) -> RGB:
    return mix(rgb, (255, 253, 248), share)


@cache
def edge_of(rgb: RGB) -> RGB:
    """Outline that stays visible on both light and very dark cloth."""
    return lighter(rgb, 0.22) if lch(rgb)[0] < 22 else darker(rgb, 0.34)
