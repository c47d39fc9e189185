"""Names of a garment's colours, measured in CIELAB.

Pixels are grouped by k-means in CIELAB, groups that look alike are merged, and the mean of the largest is named after the
nearest shade by CIEDE2000 (Sharma, Wu and Dalal, Color Research and Application 30, 2005, equations 2 to 22). Naming a
mean rather than each pixel keeps noise and folds from turning navy into black.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# sRGB values of plain colour words as garments show them in photos; several shades may share a word.
_SHADES: tuple[tuple[str, str], ...] = (
    ("black", "#0b0b0b"), ("black", "#1d1c1e"), ("black", "#2b2828"), ("charcoal", "#46474a"), ("grey", "#6d6e70"),
    ("grey", "#909193"), ("light grey", "#c3c4c6"), ("white", "#e4e5e8"), ("white", "#fafafa"), ("white", "#d9dfee"),
    ("cream", "#ebe2cd"), ("beige", "#d3bf9f"), ("beige", "#bda88f"), ("tan", "#b08855"), ("tan", "#9c7a58"),
    ("brown", "#6f4a31"), ("brown", "#7c6555"), ("dark brown", "#3c291f"), ("burgundy", "#5a1a2a"), ("red", "#b81f2f"),
    ("red", "#e03a3e"), ("coral", "#e5735f"), ("rust", "#a04a2a"), ("pink", "#e3a3b3"), ("pink", "#f0cdd0"),
    ("pink", "#c8968f"), ("beige", "#e5ccb0"), ("orange", "#e3a06a"),
    ("magenta", "#b52a78"), ("orange", "#e07a30"), ("mustard", "#c0942c"), ("yellow", "#e7cf4e"), ("olive", "#69683a"),
    ("khaki", "#8f8763"), ("green", "#36793f"), ("dark green", "#1f3a2b"), ("mint", "#a6d3b8"), ("lime", "#b5cc45"),
    ("teal", "#1f6f74"), ("turquoise", "#46b3b3"), ("sky blue", "#93bcdc"), ("denim blue", "#5b7596"),
    ("blue", "#2a56a8"), ("blue", "#4a63b8"), ("navy", "#1b2440"), ("navy", "#2c3552"), ("purple", "#5b3a80"),
    ("plum", "#4a2540"), ("lilac", "#b8a2cc"),
)  # fmt: skip
_MOST_PIXELS = 1200
_GROUPS = 4
_ROUNDS = 12
_ALIKE = 16.0
"""Groups nearer than this in CIEDE2000 are one colour: light and shadow of one cloth differ by about 10."""
_SECOND_SHARE = 0.22
_SECOND_APART = 20.0


@dataclass(frozen=True)
class Colours:
    """The colour that covers most of a garment, and a second one if it is seen at once."""

    main: str
    second: str | None = None

    @property
    def text(self) -> str:
        """For a title: `navy`, or `black and white`."""
        return f"{self.main} and {self.second}" if self.second else self.main

    @property
    def attributes(self) -> dict[str, str]:
        """For the attributes of an item."""
        return {"colour": self.main} | ({"second_colour": self.second} if self.second else {})


def name_colours(pixels: npt.NDArray[np.uint8]) -> Colours:
    """Colours of sRGB pixels (N, 3) uint8, N >= 1; reads at most 1200 of them, evenly spaced."""
    if len(pixels) == 0:
        raise ValueError("no pixel to name the colour of")
    lab = to_lab(pixels[:: -(-len(pixels) // _MOST_PIXELS)])
    centres, shares = _merge_alike(*group(lab))
    order = np.argsort(-shares, kind="stable")
    main = _nearest_name(centres[order[0]])
    for place in order[1:]:
        apart = float(difference(centres[place], centres[order[0]]))
        second = _nearest_name(centres[place])
        if shares[place] >= _SECOND_SHARE and apart >= _SECOND_APART and second != main:
            return Colours(main, second)
    return Colours(main)


def group(lab: Array) -> tuple[Array, Array]:
    """k-means with a start that depends on the pixels alone: centres (K, 3) and shares (K,) of the pixels."""
    ordered = lab[np.argsort(lab @ np.array([1.0, 0.31, 0.17]), kind="stable")]
    centres = np.stack([part.mean(0) for part in np.array_split(ordered, min(_GROUPS, len(ordered)))])
    for _ in range(_ROUNDS):
        nearest = ((lab[:, None, :] - centres[None]) ** 2).sum(2).argmin(1)
        counts = np.bincount(nearest, minlength=len(centres))
        sums = np.stack([np.bincount(nearest, lab[:, axis], minlength=len(centres)) for axis in range(3)], axis=1)
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        if np.allclose(moved, centres, atol=0.05):
            break
        centres = moved
    return centres[counts > 0], counts[counts > 0] / len(lab)


def _merge_alike(centres: Array, shares: Array) -> tuple[Array, Array]:
    while len(centres) > 1:
        apart = difference(centres[:, None, :], centres[None, :, :]) + np.diag(np.full(len(centres), np.inf))
        one, other = divmod(int(apart.argmin()), len(centres))
        if apart[one, other] >= _ALIKE:
            break
        total = shares[one] + shares[other]
        centres[one] = (centres[one] * shares[one] + centres[other] * shares[other]) / total
        shares[one] = total
        centres, shares = np.delete(centres, other, 0), np.delete(shares, other)
    return centres, shares


def _nearest_name(lab: Array) -> str:
    names, table = _table()
    return names[int(difference(lab[None], table).argmin())]


@lru_cache(maxsize=1)
def _table() -> tuple[list[str], Array]:
    rgb = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for _, code in _SHADES], dtype=np.uint8)
    return [name for name, _ in _SHADES], to_lab(rgb)


def to_lab(rgb: npt.NDArray[np.uint8]) -> Array:
    """CIELAB (D65) of sRGB values (..., 3) uint8; IEC 61966-2-1 for the transfer curve, CIE 15 for the rest."""
    value = rgb.astype(np.float64) / 255
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ matrix.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], axis=-1)


def difference(one: Array, other: Array) -> Array:
    """CIEDE2000 colour difference of CIELAB values (..., 3), broadcast; 1 is just noticeable, 100 is black to white."""
    lightness_1, a_1, b_1 = np.moveaxis(one, -1, 0)
    lightness_2, a_2, b_2 = np.moveaxis(other, -1, 0)
    mean_chroma = (np.hypot(a_1, b_1) + np.hypot(a_2, b_2)) / 2
    stretch = 1.5 - 0.5 * np.sqrt(mean_chroma**7 / (mean_chroma**7 + 25.0**7))
    chroma_1, chroma_2 = np.hypot(a_1 * stretch, b_1), np.hypot(a_2 * stretch, b_2)
    hue_1 = np.degrees(np.arctan2(b_1, a_1 * stretch)) % 360
    hue_2 = np.degrees(np.arctan2(b_2, a_2 * stretch)) % 360
    coloured = chroma_1 * chroma_2 > 0
    turn = np.where(coloured, (hue_2 - hue_1 + 180) % 360 - 180, 0.0)
    d_lightness, d_chroma = lightness_2 - lightness_1, chroma_2 - chroma_1
    d_hue = 2 * np.sqrt(chroma_1 * chroma_2) * np.sin(np.radians(turn) / 2)
    lightness, chroma = (lightness_1 + lightness_2) / 2, (chroma_1 + chroma_2) / 2
    hue = np.where(coloured, (hue_1 + turn / 2) % 360, hue_1 + hue_2)
    weight = (
        1 - 0.17 * np.cos(np.radians(hue - 30)) + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6)) - 0.20 * np.cos(np.radians(4 * hue - 63))
    )  # fmt: skip
    s_lightness = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    s_chroma, s_hue = 1 + 0.045 * chroma, 1 + 0.015 * chroma * weight
    rotation = (
        -2 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7)) * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    )
    light, tint, shift = d_lightness / s_lightness, d_chroma / s_chroma, d_hue / s_hue
    distance: Array = np.sqrt(np.maximum(light**2 + tint**2 + shift**2 + rotation * tint * shift, 0))
    return distance
