"""Names of a garment's colours, measured in CIELAB.

Pixels are grouped by k-means in CIELAB, groups that look alike are merged, and the mean of the largest is named after the
nearest shade by CIEDE2000 (Sharma, Wu and Dalal, Color Research and Application 30, 2005, equations 2 to 22). Naming a
mean rather than each pixel keeps noise and folds from turning navy into black.

scikit-image and SciPy load a submodule when it is first used: a service that is never asked for colours does without.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy
import skimage

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
_MAX_PIXELS = 1200
_GROUPS = 4
_ITERATIONS = 12
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


@dataclass(frozen=True)
class DominantColour:
    """A colour of a garment.

    Attributes:
        share: of the garment's pixels, 0 to 1.
        lab: CIELAB (D65) of the mean of these pixels.
    """

    name: str
    share: float
    lab: tuple[float, float, float]

    @property
    def hex(self) -> str:
        """The sRGB value, for example `#1b2440`."""
        red, green, blue = np.rint(255 * skimage.color.lab2rgb(np.array(self.lab))).astype(int)
        return f"#{red:02x}{green:02x}{blue:02x}"


def dominant_colours(pixels: npt.NDArray[np.uint8]) -> list[DominantColour]:
    """Colours of sRGB pixels (N, 3) uint8, N >= 1, the largest first; reads at most 1200 of them, evenly spaced."""
    if len(pixels) == 0:
        raise ValueError("no pixel to name the colour of")
    lab = to_lab(pixels[:: -(-len(pixels) // _MAX_PIXELS)])
    centres, shares = _merge_alike(*group(lab))
    return [
        DominantColour(
            _nearest_name(centres[row]), float(shares[row]), (centres[row][0], centres[row][1], centres[row][2])
        )
        for row in np.argsort(-shares, kind="stable")
    ]


def name_colours(pixels: npt.NDArray[np.uint8]) -> Colours:
    """Names of the colours of sRGB pixels (N, 3) uint8, N >= 1; see `dominant_colours`."""
    return named(dominant_colours(pixels))


def named(colours: Sequence[DominantColour]) -> Colours:
    """What a garment of these colours, the largest first, is called."""
    main = colours[0]
    for other in colours[1:]:
        apart = float(difference(np.array(other.lab), np.array(main.lab)))
        if other.share >= _SECOND_SHARE and apart >= _SECOND_APART and other.name != main.name:
            return Colours(main.name, other.name)
    return Colours(main.name)


def colour_in_words(text: str) -> DominantColour | None:
    """The first colour word of a text, with the mean of its shades; of `light grey` not the grey. None without one."""
    names, table = _table()
    found = re.search(rf"\b({'|'.join(sorted(set(names), key=len, reverse=True))})\b", text.lower())
    if found is None:
        return None
    mean = table[[name == found[1] for name in names]].mean(0)
    return DominantColour(found[1], 1.0, (mean[0], mean[1], mean[2]))


def group(lab: Array, groups: int = _GROUPS) -> tuple[Array, Array]:
    """k-means from centres that depend on the pixels alone: at most `groups` centres (K, 3), and shares (K,) of the pixels."""
    ordered = lab[np.argsort(lab @ np.array([1.0, 0.31, 0.17]), kind="stable")]
    start = np.stack([part.mean(0) for part in np.array_split(ordered, min(groups, len(ordered)))])
    with warnings.catch_warnings():
        # Pixels of fewer colours than groups leave groups empty; these are dropped below.
        warnings.filterwarnings("ignore", message="One of the clusters is empty")
        centres, nearest = scipy.cluster.vq.kmeans2(lab, start, iter=_ITERATIONS, minit="matrix")
    counts = np.bincount(nearest, minlength=len(centres))
    return centres[counts > 0], counts[counts > 0] / len(lab)


def _merge_alike(centres: Array, shares: Array) -> tuple[Array, Array]:
    while len(centres) > 1:
        apart = difference(centres[:, None, :], centres[None, :, :]) + np.diag(np.full(len(centres), np.inf))
        first, second = divmod(int(apart.argmin()), len(centres))
        if apart[first, second] >= _ALIKE:
            break
        total = shares[first] + shares[second]
        centres[first] = (centres[first] * shares[first] + centres[second] * shares[second]) / total
        shares[first] = total
        centres, shares = np.delete(centres, second, 0), np.delete(shares, second)
    return centres, shares


def _nearest_name(lab: Array) -> str:
    names, table = _table()
    return names[int(difference(lab[None], table).argmin())]


@lru_cache(maxsize=1)
def _table() -> tuple[list[str], Array]:
    rgb = np.array([[int(code[i : i + 2], 16) for i in (1, 3, 5)] for _, code in _SHADES], dtype=np.uint8)
    return [name for name, _ in _SHADES], to_lab(rgb)


def to_lab(rgb: npt.NDArray[np.uint8]) -> Array:
    """CIELAB (D65) of sRGB values (..., 3) uint8."""
    lab: Array = skimage.color.rgb2lab(rgb)
    return lab


def difference(lab_1: Array, lab_2: Array) -> Array:
    """CIEDE2000 colour difference of CIELAB values (..., 3), broadcast; 1 is just noticeable, 100 is black to white."""
    distance: Array = skimage.color.deltaE_ciede2000(lab_1, lab_2)
    return distance
