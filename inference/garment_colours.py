"""The colours of a pictured garment, whatever it lies on: importers name photos by them, the outfit model untitled garments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from inference.colours import Colours, DominantColour, difference, dominant_colours, group, named, to_lab

_READ_PX = 64
_EDGE = 3
_MIDDLE = 0.25
_BACKGROUND_APART = 12.0
_LEAST_SHARE = 0.12


def garment_colours(image: Image.Image) -> Colours:
    """Names of the colours of the garment in the middle of an upright RGB picture."""
    return named(measured_colours(image))


def measured_colours(image: Image.Image) -> list[DominantColour]:
    """Colours of the garment in the middle of an upright RGB picture, the largest first."""
    return dominant_colours(_garment_pixels(image))


def _garment_pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    """Pixels of the middle that do not look like the picture's edge; the whole middle when hardly any differ.

    The garment lies in the middle of these pictures and what it lies on shows at the edge. White on white is why the
    middle counts when nothing stands out.
    """
    small = np.asarray(image.resize((_READ_PX, _READ_PX), Image.Resampling.BOX))
    edge = np.concatenate(
        [small[:_EDGE], small[-_EDGE:], small[:, :_EDGE].swapaxes(0, 1), small[:, -_EDGE:].swapaxes(0, 1)]
    )
    cut = round(_READ_PX * _MIDDLE)
    middle = small[cut:-cut, cut:-cut].reshape(-1, 3)
    background, _ = group(to_lab(edge.reshape(-1, 3)))
    apart = difference(to_lab(middle)[:, None, :], background[None]).min(1)
    differs = middle[apart >= _BACKGROUND_APART]
    return differs if len(differs) >= _LEAST_SHARE * len(middle) else middle
