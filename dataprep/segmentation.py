"""Segmentations of COCO files as masks: polygons, run lengths, and run lengths packed as text.

Polygons are drawn by pycocotools, COCO's own reference. Run lengths are not: it takes too few of them without a word and answers
with memory that nobody wrote (2.0.11). Format: `maskApi.c` of github.com/cocodataset/cocoapi.
"""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools import mask as coco_mask

from aura.errors import DataError

Segmentation = list[list[float]] | dict[str, Any]
"""Polygons, each `[x0, y0, x1, y1, ...]` in pixels; or `{"size": [height, width], "counts": runs or text}`."""
_POLYGON_NUMBERS = 6
_TEXT_OFFSET, _CHUNK_BITS = 48, 5


def mask_of(
    segmentation: Segmentation, annotated_px: tuple[int, int], photo_px: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    """Mask (height, width) of a photo.

    Args:
        annotated_px: width and height that the segmentation was drawn on.
        photo_px: width and height of the photo, when that was scaled since.

    Raises:
        DataError: the segmentation is damaged, or of another size.
    """
    if isinstance(segmentation, dict):
        mask = _of_runs(segmentation, annotated_px)
        if photo_px == annotated_px:
            return mask
        columns = np.arange(photo_px[0]) * annotated_px[0] // photo_px[0]
        rows = np.arange(photo_px[1]) * annotated_px[1] // photo_px[1]
        return mask[np.ix_(rows, columns)]
    scale = np.array([photo / annotated for photo, annotated in zip(photo_px, annotated_px, strict=True)])
    polygons = []
    for polygon in segmentation:
        numbers = np.asarray(polygon, dtype=np.float64)
        if len(numbers) < _POLYGON_NUMBERS or len(numbers) % 2 or not np.isfinite(numbers).all():
            raise DataError("polygon is damaged")
        # A corner far outside would cost memory for each pixel on the way to it.
        points = np.clip(numbers.reshape(-1, 2) * scale, 0, photo_px)
        polygons.append(points.ravel().tolist())
    if not polygons:
        raise DataError("segmentation is empty")
    width, height = photo_px
    drawn = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width)))
    return np.asarray(drawn, dtype=np.bool_)


def _of_runs(segmentation: dict[str, Any], annotated_px: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Mask from run lengths, which go down the columns and begin with what is outside."""
    width, height = annotated_px
    counts, size = segmentation.get("counts"), segmentation.get("size")
    if size != [height, width]:
        raise DataError("segmentation has another size than its photo")
    runs = _unpacked(counts) if isinstance(counts, str | bytes) else _whole_numbers(counts)
    if sum(runs) != width * height:
        raise DataError("run lengths are damaged")
    inside = np.fromiter((value for value, _ in zip(cycle((False, True)), runs, strict=False)), np.bool_, len(runs))
    return np.repeat(inside, runs).reshape(width, height).T


def _whole_numbers(counts: Any) -> list[int]:
    if not isinstance(counts, list) or not all(isinstance(run, int) and run >= 0 for run in counts):
        raise DataError("run lengths are damaged")
    return counts


def _unpacked(text: str | bytes) -> list[int]:
    """Run lengths from COCO's text: six bits a character, of which one says that more follow; from the fourth run on, each
    is written as its difference from the last but one."""
    data = text.encode("ascii", "replace") if isinstance(text, str) else text
    runs: list[int] = []
    value = shift = 0
    for byte in data:
        chunk = byte - _TEXT_OFFSET
        value |= (chunk & 0x1F) << shift
        shift += _CHUNK_BITS
        if chunk & 0x20:
            continue
        if chunk & 0x10:
            value |= -1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift or any(run < 0 for run in runs):
        raise DataError("run lengths are damaged")
    return runs
