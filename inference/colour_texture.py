"""An image encoder without weights: a fixed descriptor of colour, outline and pattern.

It combines a colour histogram (Swain and Ballard, 1991) and a gradient histogram (HOG, Dalal and Triggs, 2005). It needs no
weights, is the same on every machine and finds images that look alike; it does not know what a garment is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from inference.image_encoder import FloatArray, square
from inference.references import DESCRIPTOR_REFERENCE

_SIDE_PX = 64
_HUES, _SATURATIONS, _VALUES, _GREYS = 12, 2, 2, 8
_GRADIENT_BINS, _GRADIENT_CELLS = 6, 4
_COLOUR_WEIGHT, _GRADIENT_WEIGHT = 1.0, 1.5
_BACKGROUND_DISTANCE = 0.10
"""RGB distance from the background (0 to sqrt 3) at which a pixel counts half as garment."""


class ColourTextureDescriptor:
    """152 numbers: 56 colour histogram, 96 gradient histogram (outline and pattern, in 4 x 4 cells).

    The background is taken to be the median colour of the picture's border; pixels near it weigh little, so that two
    photos of one coat on different backdrops stay close.
    """

    reference = DESCRIPTOR_REFERENCE
    dim = _HUES * _SATURATIONS * _VALUES + _GREYS + _GRADIENT_BINS * _GRADIENT_CELLS**2

    def encode(self, images: Sequence[Image.Image]) -> FloatArray:
        """float32 (N, 152), each row of length 1."""
        if not images:
            return np.zeros((0, self.dim), dtype=np.float32)
        return np.stack([_describe(image) for image in images])


def _describe(image: Image.Image) -> FloatArray:
    rgb = np.asarray(square(image, _SIDE_PX), dtype=np.float64) / 255.0
    mask = _garment_mask(rgb)
    # The square root (Hellinger kernel) keeps one large bin from drowning the others.
    colour = _COLOUR_WEIGHT * _unit(np.sqrt(_colour_histogram(rgb, mask)))
    gradients = _GRADIENT_WEIGHT * _unit(np.sqrt(_gradient_histogram(rgb, mask)))
    return _unit(np.concatenate([colour, gradients])).astype(np.float32)


def _border(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, 3) pixels of the outermost ring."""
    return np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])


def _garment_mask(rgb: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(64, 64) weights in (0, 1]: unlike the border's colour and near the middle means garment."""
    border = _border(rgb)
    background = np.median(border, axis=0)
    # A busy border (street photo, garment that fills the frame) says little about the background: raise the threshold.
    spread = float(np.median(np.linalg.norm(border - background, axis=-1)))
    threshold = _BACKGROUND_DISTANCE + spread
    distance = np.linalg.norm(rgb - background, axis=-1)
    unlike = 1.0 / (1.0 + np.exp(-(distance - threshold) / (0.25 * threshold)))
    axis = (np.arange(_SIDE_PX) + 0.5) / _SIDE_PX - 0.5
    central = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * 0.35**2))
    return np.maximum(unlike * central, 1e-3)


def _hsv(rgb: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Hue in [0, 1), saturation and value in [0, 1], each (64, 64)."""
    high, low = rgb.max(axis=-1), rgb.min(axis=-1)
    chroma = high - low
    safe = np.where(chroma > 0, chroma, 1.0)
    red, green, blue = np.moveaxis(rgb, -1, 0)
    sector = np.select(
        [chroma == 0, high == red, high == green],
        [np.zeros_like(high), ((green - blue) / safe) % 6, (blue - red) / safe + 2],
        (red - green) / safe + 4,
    )
    return (sector / 6.0) % 1.0, np.where(high > 0, chroma / np.where(high > 0, high, 1.0), 0.0), high


def _colour_histogram(rgb: npt.NDArray[np.float64], mask: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """48 chromatic bins (hue x saturation x value) and 8 greys, soft-assigned, sums to 1."""
    hue, saturation, value = _hsv(rgb)
    # Hue is noise where there is little chroma: such pixels count as grey, with a soft border between the two.
    chromatic = 1.0 / (1.0 + np.exp(-(saturation * value - 0.12) / 0.03))
    hue_low, hue_share = _soft_bins(hue * _HUES - 0.5)
    sat_low, sat_share = _soft_bins(np.clip(saturation * _SATURATIONS - 0.5, 0, _SATURATIONS - 1))
    val_low, val_share = _soft_bins(np.clip(value * _VALUES - 0.5, 0, _VALUES - 1))
    bins = np.zeros((_HUES, _SATURATIONS, _VALUES))
    for h in (0, 1):
        for s in (0, 1):
            for v in (0, 1):
                weight = mask * chromatic * abs(1 - h - hue_share) * abs(1 - s - sat_share) * abs(1 - v - val_share)
                index = (
                    (hue_low + h) % _HUES,
                    np.minimum(sat_low + s, _SATURATIONS - 1),
                    np.minimum(val_low + v, _VALUES - 1),
                )
                np.add.at(bins, index, weight)
    greys = np.zeros(_GREYS)
    grey_low, grey_share = _soft_bins(np.clip(value * _GREYS - 0.5, 0, _GREYS - 1))
    np.add.at(greys, grey_low, mask * (1 - chromatic) * (1 - grey_share))
    np.add.at(greys, np.minimum(grey_low + 1, _GREYS - 1), mask * (1 - chromatic) * grey_share)
    histogram = np.concatenate([bins.ravel(), greys])
    return histogram / histogram.sum()


def _soft_bins(position: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Lower bin and the share that belongs to the next one."""
    low = np.floor(position).astype(np.int64)
    return low, position - low


def _gradient_histogram(rgb: npt.NDArray[np.float64], mask: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """6 unsigned orientations in 4 x 4 cells, weighted by magnitude: the outline, and stripes, checks or plain.

    Cells overlap (bilinear weights), so that an edge on the border of two cells does not jump between them.
    """
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    down, right = np.gradient(luma)
    magnitude = np.hypot(down, right) * mask
    low, share = _soft_bins((np.arctan2(down, right) % np.pi) / np.pi * _GRADIENT_BINS)
    maps = np.zeros((_GRADIENT_BINS, _SIDE_PX, _SIDE_PX))
    for orientation in range(_GRADIENT_BINS):
        maps[orientation] = np.where(low % _GRADIENT_BINS == orientation, magnitude * (1 - share), 0.0)
        maps[orientation] += np.where((low + 1) % _GRADIENT_BINS == orientation, magnitude * share, 0.0)
    cell_px = _SIDE_PX / _GRADIENT_CELLS
    centres = (np.arange(_GRADIENT_CELLS) + 0.5) * cell_px
    weights = np.maximum(1 - np.abs(np.arange(_SIDE_PX) + 0.5 - centres[:, None]) / cell_px, 0.0)
    histogram: npt.NDArray[np.float64] = np.einsum("ri,oij,cj->rco", weights, maps, weights, optimize=True)
    return histogram.ravel()


def _unit(vector: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 0 else vector
