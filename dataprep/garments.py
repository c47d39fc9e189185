"""Garments of one labelled street photo: boxes from the label's pixels, cut-outs on white, names of their colours.

A label's pixels make one box, so a pair of shoes is one object: that is how people name them, how the sample data has
them, and the labels do not tell left from right. For the same reason two labels of one category (a shirt under a jumper)
stay two garments. Islands smaller than a tenth of the largest are slips of the labelling and do not stretch the box.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.ndimage
from PIL import Image

from aura.errors import DataError
from aura.taxonomy import IGNORED_LABELS, Category, category_of
from dataprep.images import link_or_copy, open_rgb, square, stored_name
from dataprep.matlab import read_whole_numbers
from dataprep.settings import ImportSettings
from inference.colours import Colours, name_colours

_ISLAND_FRACTION = 0.1
_MARGIN = 0.06
SPECK = "garment is a speck"
_MAX_LABEL = 65535
"""A mask with a larger number is damaged; finding its objects would take memory for every number below."""
_MASS_NOUNS = frozenset(
    {
        "footwear",
        "headwear",
        "hosiery",
        "jewellery",
        "jewelry",
        "legwear",
        "lingerie",
        "outerwear",
        "swimwear",
        "underwear",
    }
)


@dataclass(frozen=True, kw_only=True)
class PhotoWork:
    """One photo to read.

    Attributes:
        labels: label names; the index is the value in the mask.
        folder: raw folder that is being written; pictures go below it.
    """

    photo: Path
    mask: Path
    labels: tuple[str, ...]
    folder: Path
    settings: ImportSettings


@dataclass(frozen=True, kw_only=True)
class GarmentBox:
    """A garment of a photo. Box and area are in pixels of the stored photo."""

    category: Category
    box_xywh_px: tuple[float, float, float, float]
    area_px: float


@dataclass(frozen=True, kw_only=True)
class Garment(GarmentBox):
    """A garment that is cut out; its picture is stored.

    Attributes:
        crop_px: long side of the cut-out in the original photo.
        details: what its source says of it beside the label, for example its length.
    """

    item_id: str
    label: str
    colours: Colours
    crop_px: int
    details: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return f"{self.colours.text} {self.label}".capitalize()

    @property
    def attributes(self) -> dict[str, str]:
        return {**self.details, "garment": self.label, **self.colours.attributes}


@dataclass
class PhotoResult:
    """What one photo gives; `problem` says why it gives nothing, `left_out` what was left out of it.

    Attributes:
        file: name of the original.
        name: what its copies and rows are called.
        uncut: garments of which only a box is known.
        one_person: whether its garments are worn by one person, as far as the labels tell.
    """

    file: str
    name: str
    problem: str = ""
    width: int = 0
    height: int = 0
    garments: list[Garment] = field(default_factory=list)
    uncut: list[GarmentBox] = field(default_factory=list)
    one_person: bool = True
    left_out: list[str] = field(default_factory=list)


def read_photo(work: PhotoWork) -> PhotoResult:
    """Read and scale one photo, cut its garments out, store all pictures."""
    result = PhotoResult(work.photo.name, stored_name(work.photo.stem))
    try:
        image = open_rgb(work.photo)
    except DataError:
        result.problem = "photo is not readable"
        return result
    try:
        mask = _read_mask(work.mask)
    except DataError:
        result.problem = "mask is not readable"
        return result
    if mask.shape != (image.height, image.width):
        result.problem = "mask has another size than its photo"
        return result
    across, down = store_photo(image, result, work.folder, work.settings)
    pixels = np.asarray(image)
    for label, category, bounds in _labelled(mask, work.labels, result):
        inside, top, left = trimmed(mask[bounds] == work.labels.index(label))
        if is_speck(inside, mask.size, work.settings):
            result.left_out.append(SPECK)
            continue
        top, left = int(bounds[0].start + top), int(bounds[1].start + left)
        height, width = inside.shape
        garment = pixels[top : top + height, left : left + width]
        item_id = garment_id("ccp", result.name, label)
        store_cut_out(garment, inside, work.folder, item_id, work.settings)
        result.garments.append(
            Garment(
                item_id=item_id, label=label, category=category, colours=name_colours(garment[inside]),
                box_xywh_px=_rounded(left * across, top * down, width * across, height * down, result),
                area_px=round(float(inside.sum()) * across * down, 1), crop_px=max(width, height),
            )
        )  # fmt: skip
    return result


def store_photo(image: Image.Image, result: PhotoResult, folder: Path, settings: ImportSettings) -> tuple[float, float]:
    """Store the photo at the size that is set, note that size; returns the scale of widths and of heights."""
    scale = min(1.0, settings.photo_px / max(image.size))
    result.width, result.height = (max(1, round(side * scale)) for side in image.size)
    small = image if scale == 1 else image.resize((result.width, result.height), Image.Resampling.LANCZOS)
    small.save(folder / "detection" / "images" / f"{result.name}.jpg", quality=settings.jpeg_quality)
    return result.width / image.width, result.height / image.height


def trimmed(area: npt.NDArray[np.bool_]) -> tuple[npt.NDArray[np.bool_], int, int]:
    """A mask without its small islands, cut to its bounds, and the row and column where those begin; it may be empty."""
    inside = _without_islands(area)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    if not len(rows):
        return inside[:0, :0], 0, 0
    return inside[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], int(rows[0]), int(columns[0])


def is_speck(inside: npt.NDArray[np.bool_], photo_pixels: int, settings: ImportSettings) -> bool:
    return bool(inside.sum() < max(1.0, settings.min_area_fraction * photo_pixels))


def garment_id(source: str, photo: str, what: str) -> str:
    """Id of the garment `what` of a photo, the same in every import of it."""
    return "c" + hashlib.sha256(f"{source}/{photo}/{what}".encode()).hexdigest()[:11]


def with_article(label: str, colours: str) -> str:
    """`A navy coat`, `An olive bag`, `Black and white shoes`, `Blue outerwear`."""
    if label in _MASS_NOUNS or (label.endswith("s") and not label.endswith("ss")):
        return f"{colours} {label}".capitalize()
    return f"{'An' if colours[0] in 'aeiou' else 'A'} {colours} {label}"


def _read_mask(path: Path) -> npt.NDArray[np.int32]:
    """Label numbers (height, width).

    Raises:
        DataError: the file holds none.
    """
    mask = read_whole_numbers(path, "groundtruth")
    if mask.ndim != 2 or not mask.size or mask.min() < 0 or mask.max() > _MAX_LABEL:
        raise DataError(f"{path.name} holds no label numbers")
    return mask.astype(np.int32)


def _labelled(
    mask: npt.NDArray[np.int32], labels: tuple[str, ...], result: PhotoResult
) -> list[tuple[str, Category, tuple[slice, slice]]]:
    """Label, category and bounding slices of each garment label in a mask; the others are recorded in `result`."""
    found = []
    for value, bounds in enumerate(scipy.ndimage.find_objects(mask), start=1):
        if bounds is None:
            continue
        if value >= len(labels):
            result.left_out.append(f"label number {value} is not in label_list.mat")
        elif labels[value] not in IGNORED_LABELS:
            try:
                found.append((labels[value], category_of(labels[value]), bounds))
            except DataError:
                result.left_out.append(f"label {labels[value]!r} is not in the taxonomy")
    return found


def _without_islands(area: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    islands, count = scipy.ndimage.label(area)
    if count <= 1:
        return area
    sizes = np.bincount(islands.ravel())
    sizes[0] = 0
    large: npt.NDArray[np.bool_] = (sizes >= _ISLAND_FRACTION * sizes.max())[islands]
    return large


def store_cut_out(
    pixels: npt.NDArray[np.uint8], inside: npt.NDArray[np.bool_], folder: Path, item_id: str, settings: ImportSettings
) -> None:
    """Cut-out on white for the outfits, the same file for the catalog."""
    cut = Image.fromarray(np.where(inside[..., None], pixels, np.uint8(255)))
    file = folder / "outfits" / "images" / f"{item_id}.jpg"
    square(cut, settings.item_px, _MARGIN).save(file, quality=settings.jpeg_quality)
    if max(cut.size) >= settings.min_catalog_px:
        link_or_copy(file, folder / "catalog" / "images" / file.name)


def _rounded(
    left: float, top: float, width: float, height: float, photo: PhotoResult
) -> tuple[float, float, float, float]:
    """Box to hundredths of a pixel, never past the edge of the photo."""
    left, top = round(left, 2), round(top, 2)
    return left, top, round(min(width, photo.width - left), 2), round(min(height, photo.height - top), 2)
