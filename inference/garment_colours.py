"""The colours of a pictured garment, whatever is around it: importers name photos by them, services what people photograph."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from threading import Lock

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache, cached
from PIL import Image

from inference.colours import Array, Colours, DominantColour, difference, dominant_colours, group, named, to_lab

_READ_PX = 64
_EDGE = 3
_MIDDLE = 0.25
_BACKGROUND_APART = 12.0
_LEAST_SHARE = 0.12
_PLAIN_SHARE = 0.8
"""Share of a picture's edge that must look alike for the edge to be what the garment lies on."""
_AROUND = 0.25
"""Of a box's sides, on each side: what is seen of the photo around it."""
_INNER_X, _INNER_Y = (0.2, 0.8), (0.1, 0.9)
"""Part of a box where its garment is rather than what stands beside it."""
_PHOTO_GROUPS = 12
_KEPT = 4096
"""Pictures whose colours are kept, by a hash: nothing else of what people send stays."""
Pixels = npt.NDArray[np.uint8]


def garment_colours(image: Image.Image) -> Colours:
    """Names of the colours of the garment in the middle of an upright RGB picture."""
    return named(measured_colours(image))


def measured_colours(image: Image.Image) -> list[DominantColour]:
    """Colours of the garment in the middle of an upright RGB picture, the largest first."""
    return list(_measured(_read(image)))


@cached(LRUCache(_KEPT), key=lambda small: blake2b(small.tobytes(), digest_size=16).digest(), lock=Lock())
def _measured(small: Pixels) -> tuple[DominantColour, ...]:
    """Colours of a picture as `_read` reads it: somebody asks about the same garment again and again."""
    return tuple(dominant_colours(_garment_pixels(small)))


def garment_colours_in(photo: Image.Image, box_xyxy_px: Sequence[float]) -> Colours:
    """Names of the colours of the garment in a box of an upright RGB photo."""
    return named(measured_colours_in(photo, box_xyxy_px))


def measured_colours_in(photo: Image.Image, box_xyxy_px: Sequence[float]) -> list[DominantColour]:
    """Colours of the garment in a box of an upright RGB photo, the largest first.

    A colour that covers less of the box's inner part than of what is seen around the box belongs to the street, the skin or the
    garment beside.
    """
    x0, y0, x1, y1 = box_xyxy_px
    width, height = max(1.0, x1 - x0), max(1.0, y1 - y0)
    left, top = max(0, int(x0 - _AROUND * width)), max(0, int(y0 - _AROUND * height))
    right, bottom = min(photo.width, int(x1 + _AROUND * width) + 1), min(photo.height, int(y1 + _AROUND * height) + 1)
    small = _read(photo.crop((left, top, right, bottom)))
    # Middles of the pixels, in sides of the box from its corner.
    centres = (np.arange(_READ_PX) + 0.5) / _READ_PX
    across = (left + centres * (right - left) - x0) / width
    down = (top + centres * (bottom - top) - y0) / height
    outside = ~(_between(down, (0, 1))[:, None] & _between(across, (0, 1))[None])
    inner = _between(down, _INNER_Y)[:, None] & _between(across, _INNER_X)[None]
    lab = to_lab(small)
    groups, _ = group(lab.reshape(-1, 3), _PHOTO_GROUPS)
    nearest = ((lab[:, :, None] - groups) ** 2).sum(-1).argmin(-1)
    of_garment = _shares(nearest[inner], len(groups)) > _shares(nearest[outside], len(groups))
    return dominant_colours(_or_all(small[inner & of_garment[nearest]], small[inner]))


def _garment_pixels(small: Pixels) -> Pixels:
    """Pixels of the middle; of a picture with a plain edge, those that do not look like it.

    The garment is in the middle of these pictures. What it lies on shows at the edge, unless it was cut out of a photo, where its
    own sides are the edge. White on white is why the middle counts when nothing stands out.
    """
    edge = to_lab(np.concatenate([small[:_EDGE], small[-_EDGE:], *(
        side.swapaxes(0, 1) for side in (small[:, :_EDGE], small[:, -_EDGE:])
    )]).reshape(-1, 3))  # fmt: skip
    cut = round(_READ_PX * _MIDDLE)
    middle = small[cut:-cut, cut:-cut].reshape(-1, 3)
    if (difference(edge, np.median(edge, 0)[None]) < _BACKGROUND_APART).mean() < _PLAIN_SHARE:
        return middle
    background, _ = group(edge)
    apart = difference(to_lab(middle)[:, None, :], background[None]).min(1)
    return _or_all(middle[apart >= _BACKGROUND_APART], middle)


def _read(image: Image.Image) -> Pixels:
    return np.asarray(image.resize((_READ_PX, _READ_PX), Image.Resampling.BOX))


def _between(values: Array, limits: tuple[float, float]) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = (values >= limits[0]) & (values <= limits[1])
    return found


def _shares(members: npt.NDArray[np.intp], count: int) -> Array:
    """Share of each of `count` groups among members; none of any where there are no members."""
    return np.asarray(np.bincount(members, minlength=count) / max(1, len(members)))


def _or_all(chosen: Pixels, everything: Pixels) -> Pixels:
    """The chosen ones; everything where hardly any were chosen, as then they say nothing."""
    return chosen if len(chosen) >= _LEAST_SHARE * len(everything) else everything
