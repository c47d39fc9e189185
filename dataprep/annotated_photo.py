"""One photo with annotations of single objects, as COCO has them: garments with their boxes, cut-outs where there are masks.

A pair is one object here, as in every other source: two shoes of a photo become one garment, whose box and mask hold both.
More than two are of several people; they stay as they are. The annotations do not say who wears what. So a photo's garments
count as one person's outfit unless a kind of garment that is worn once (by its label) is there twice, or a pair three times.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from aura.errors import DataError
from aura.pictures import read_picture
from aura.taxonomy import Category
from dataprep.garments import (
    SPECK,
    Garment,
    GarmentBox,
    PhotoResult,
    garment_id,
    is_speck,
    store_cut_out,
    store_photo,
    trimmed,
)
from dataprep.segmentation import Segmentation, mask_of
from dataprep.settings import ImportSettings
from inference.colours import name_colours

_WORN_IN_NUMBERS = frozenset({Category.BAGS, Category.JEWELLERY, Category.ACCESSORIES, Category.SCARVES})
_PAIRED_CATEGORIES = frozenset({Category.SHOES, Category.LEGWEAR})
_PAIRED_LABELS = frozenset({"gloves", "glove", "earrings", "earring"})
_SAME_SHAPE = 0.01
"""Largest difference of two ratios of sides, as a part of them, of which one photo is the other scaled down."""

Box = tuple[float, float, float, float]


@dataclass(frozen=True, kw_only=True)
class Annotation:
    """One object of a photo, in pixels of the photo as it was annotated.

    Attributes:
        box_xywh_px: None: the mask says where it is.
        area_px: area of the object when its source says it; 0: that of its box.
        details: see `dataprep.garments.Garment`.
    """

    label: str
    category: Category
    box_xywh_px: Box | None = None
    segmentation: Segmentation | None = None
    area_px: float = 0.0
    details: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class AnnotatedPhoto:
    """One photo to read.

    Attributes:
        source: name of the raw source, which its ids begin with.
        photo: a file, or the bytes of one.
        file: how messages call it.
        name: what its copies and rows are called.
        annotated_px: width and height that the annotations were made on; None: those of the photo.
        folder: raw folder that is being written; pictures go below it.
    """

    source: str
    photo: Path | bytes
    file: str
    name: str
    annotated_px: tuple[int, int] | None
    annotations: tuple[Annotation, ...]
    folder: Path
    settings: ImportSettings


@dataclass(frozen=True)
class _Object:
    """A garment on the photo: its box and its mask, if it has one, in pixels of the photo as it is read."""

    first: Annotation
    box_xyxy_px: Box
    area_px: float
    mask: npt.NDArray[np.bool_] | None


def read_annotated(work: AnnotatedPhoto) -> PhotoResult:
    """Read and scale one photo, cut its garments out where they have masks, store all pictures."""
    result = PhotoResult(work.file, work.name)
    if isinstance(work.photo, Path) and not work.photo.is_file():
        result.problem = "photo is missing"
        return result
    try:
        image = _as_annotated(work)
    except DataError:
        result.problem = "photo is not readable"
        return result
    annotated_px = work.annotated_px or image.size
    if not _shape_fits(image.size, annotated_px):
        result.problem = "photo has another shape than its row says"
        return result
    objects = [
        found
        for annotation in work.annotations
        if (found := _object(annotation, annotated_px, image.size, work.settings, result)) is not None
    ]
    objects = _paired(objects)
    result.one_person = _worn_by_one([found.first for found in objects])
    across, down = store_photo(image, result, work.folder, work.settings)
    pixels = np.asarray(image)
    for number, found in enumerate(objects):
        box = _stored_box(found.box_xyxy_px, across, down, result)
        area_px = round(min(found.area_px * across * down, box[2] * box[3]), 1)
        cut = None if found.mask is None else _cut_out(found, pixels, f"{number}", work)
        plain = GarmentBox(category=found.first.category, box_xywh_px=box, area_px=max(area_px, 0.1))
        if cut is None:
            result.uncut.append(plain)
        else:
            item_id, garment, inside = cut
            result.garments.append(
                Garment(
                    category=plain.category, box_xywh_px=plain.box_xywh_px, area_px=plain.area_px, item_id=item_id,
                    label=found.first.label, colours=name_colours(garment[inside]), crop_px=max(inside.shape),
                    details=found.first.details,
                )
            )  # fmt: skip
    return result


def _as_annotated(work: AnnotatedPhoto) -> Image.Image:
    """The photo as its annotators saw it: turned as its EXIF block says only where its row has the size of that.

    Raises:
        DataError: it cannot be read.
    """

    def opened(upright: bool) -> Image.Image:
        file = work.photo if isinstance(work.photo, Path) else BytesIO(work.photo)
        return read_picture(file, f"picture {work.file}", upright=upright).image

    image = opened(False)
    if work.annotated_px is None or _shape_fits(image.size, work.annotated_px):
        return image
    return opened(True)


def _shape_fits(photo_px: tuple[int, int], annotated_px: tuple[int, int]) -> bool:
    return abs(photo_px[0] * annotated_px[1] / (photo_px[1] * annotated_px[0]) - 1) <= _SAME_SHAPE


def _object(
    annotation: Annotation,
    annotated_px: tuple[int, int],
    photo_px: tuple[int, int],
    settings: ImportSettings,
    result: PhotoResult,
) -> _Object | None:
    """Where the object is on the photo; what makes it, or its mask, unusable is recorded in `result`."""
    mask = None
    if annotation.segmentation:
        try:
            mask = mask_of(annotation.segmentation, annotated_px, photo_px)
        except DataError as error:
            result.left_out.append(f"mask is left out, its box is used: {error.message}")
    box = _clipped(annotation.box_xywh_px, annotated_px, photo_px) if annotation.box_xywh_px else None
    if mask is not None and not mask.any():
        result.left_out.append("mask is left out, its box is used: it is empty")
        mask = None
    if annotation.box_xywh_px is None and mask is not None:
        inside, top, left = trimmed(mask)
        box = (left, top, left + inside.shape[1], top + inside.shape[0])
    if box is None:
        result.left_out.append("box is empty or outside its photo")
        return None
    box_area = (box[2] - box[0]) * (box[3] - box[1])
    scale = photo_px[0] * photo_px[1] / (annotated_px[0] * annotated_px[1])
    area_px = float(mask.sum()) if mask is not None else min(annotation.area_px * scale or box_area, box_area)
    if area_px < max(1.0, settings.min_area_fraction * photo_px[0] * photo_px[1]):
        result.left_out.append(SPECK)
        return None
    return _Object(annotation, box, area_px, mask)


def _clipped(box_xywh_px: Box, annotated_px: tuple[int, int], photo_px: tuple[int, int]) -> Box | None:
    """x0, y0, x1, y1 of the part of a box that lies on the photo; None when none does."""
    x, y, width, height = box_xywh_px
    if not (np.isfinite(box_xywh_px).all() and width > 0 and height > 0):
        return None
    across, down = photo_px[0] / annotated_px[0], photo_px[1] / annotated_px[1]
    x0, x1 = max(0.0, x * across), min(float(photo_px[0]), (x + width) * across)
    y0, y1 = max(0.0, y * down), min(float(photo_px[1]), (y + height) * down)
    return (x0, y0, x1, y1) if x1 - x0 >= 1 and y1 - y0 >= 1 else None


def _paired(objects: Sequence[_Object]) -> list[_Object]:
    """The objects, with each pair as one."""
    pairs: dict[str, list[_Object]] = defaultdict(list)
    for found in objects:
        if _is_pair(found.first):
            pairs[found.first.label].append(found)
    merged = {id(two[0]): _together(*two) for two in pairs.values() if len(two) == 2}
    second = {id(two[1]) for two in pairs.values() if len(two) == 2}
    return [merged.get(id(found), found) for found in objects if id(found) not in second]


def _is_pair(annotation: Annotation) -> bool:
    return annotation.category in _PAIRED_CATEGORIES or annotation.label in _PAIRED_LABELS


def _together(one: _Object, other: _Object) -> _Object:
    a, b = one.box_xyxy_px, other.box_xyxy_px
    box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    mask = None if one.mask is None or other.mask is None else one.mask | other.mask
    area_px = one.area_px + other.area_px if mask is None else float(mask.sum())
    return _Object(one.first, box, area_px, mask)


def _worn_by_one(annotations: Sequence[Annotation]) -> bool:
    """Whether one person can wear all of it at once; see the module's docstring."""
    found = Counter(item.label for item in annotations if item.category not in _WORN_IN_NUMBERS)
    return all(number == 1 for number in found.values())


def _stored_box(box_xyxy_px: Box, across: float, down: float, photo: PhotoResult) -> Box:
    """x, y, width, height on the stored photo, to hundredths of a pixel, never past its edge."""
    left, top = round(box_xyxy_px[0] * across, 2), round(box_xyxy_px[1] * down, 2)
    right = min(round(box_xyxy_px[2] * across, 2), photo.width)
    bottom = min(round(box_xyxy_px[3] * down, 2), photo.height)
    return left, top, round(right - left, 2), round(bottom - top, 2)


def _cut_out(
    found: _Object, pixels: npt.NDArray[np.uint8], what: str, work: AnnotatedPhoto
) -> tuple[str, npt.NDArray[np.uint8], npt.NDArray[np.bool_]] | None:
    """Store the cut-out: its id, its pixels and its mask; None when the mask is a speck."""
    if found.mask is None:
        return None
    inside, top, left = trimmed(found.mask)
    if is_speck(inside, found.mask.size, work.settings):
        return None
    garment = pixels[top : top + inside.shape[0], left : left + inside.shape[1]]
    item_id = garment_id(work.source, work.name, f"{found.first.label}/{what}")
    store_cut_out(garment, inside, work.folder, item_id, work.settings)
    return item_id, garment, inside
