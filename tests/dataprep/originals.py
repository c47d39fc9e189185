"""Small folders in the original layouts of the two public data sets, every pixel known."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import scipy.io
from PIL import Image

# `spacesuit` stands for a label that the taxonomy does not know.
LABELS = ("null", "skin", "hair", "dress", "shoes", "bag", "hat", "spacesuit")
COLOURS = {"dress": (184, 31, 47), "shoes": (11, 11, 11), "bag": (42, 86, 168), "hat": (231, 207, 78)}
"""Colours that are called red, black, blue and yellow."""
WIDTH_PX, HEIGHT_PX = 80, 128

# Label, then left, top, width and height in pixels.
Area = tuple[str, int, int, int, int]
WORN: tuple[Area, ...] = (
    ("skin", 30, 0, 20, 10),
    ("dress", 20, 20, 40, 60),
    ("shoes", 20, 110, 10, 8),
    ("shoes", 44, 110, 10, 8),
    ("bag", 62, 50, 12, 16),
)
"""A dress, a pair of shoes and a bag: an outfit. Areas 2400, 160 and 192 pixels."""


def write_photo(folder: Path, name: str, areas: Sequence[Area] = WORN) -> None:
    """One photo and its mask, 80 x 128 pixels."""
    mask = np.zeros((HEIGHT_PX, WIDTH_PX), dtype=np.uint8)
    pixels = np.full((HEIGHT_PX, WIDTH_PX, 3), 250, dtype=np.uint8)
    for label, left, top, width, height in areas:
        place = np.s_[top : top + height, left : left + width]
        mask[place] = LABELS.index(label)
        pixels[place] = COLOURS.get(label, (222, 170, 130))
    Image.fromarray(pixels).save(folder / "photos" / f"{name}.jpg", quality=95, subsampling=0)
    write_mask(folder, name, mask)


def write_mask(folder: Path, name: str, mask: npt.NDArray[np.generic]) -> None:
    scipy.io.savemat(folder / "annotations" / "pixel-level" / f"{name}.mat", {"groundtruth": mask}, do_compression=True)


def write_ccp(folder: Path, photos: Mapping[str, Sequence[Area]] | None = None, labels: Sequence[str] = LABELS) -> Path:
    """A folder laid out as Clothing Co-Parsing; without `photos`, ten times the same outfit, 0001 to 0010."""
    (folder / "photos").mkdir(parents=True)
    (folder / "annotations" / "pixel-level").mkdir(parents=True)
    write_labels(folder, labels)
    for name, areas in (photos or {f"{number:04d}": WORN for number in range(1, 11)}).items():
        write_photo(folder, name, areas)
    return folder


def write_labels(folder: Path, labels: Sequence[str]) -> None:
    # A row of cells, as in the original.
    cells = np.empty((1, len(labels)), dtype=object)
    cells[0] = labels
    scipy.io.savemat(folder / "label_list.mat", {"label_list": cells})


HEADER = ("image", "sender_id", "label", "kids")
ROWS: tuple[tuple[str, ...], ...] = (
    ("red-shirt", "1", "T-Shirt", "False"),
    ("black-shoes", "1", "Shoes", "False"),
    ("blue-body", "2", "Body", "True"),
    ("yellow-skirt", "2", "Skirt", "False"),
    ("red-dress", "3", "Dress", "True"),
)
_GARMENT_COLOURS = {"red": "dress", "black": "shoes", "blue": "bag", "yellow": "hat"}


def write_clothing(folder: Path, rows: Sequence[tuple[str, ...]] = ROWS, header: Sequence[str] = HEADER) -> Path:
    """A folder laid out as the clothing data set; the first word of a photo's name is the colour of its garment."""
    (folder / "images").mkdir(parents=True)
    for name in {row[0] for row in rows}:
        if name and "/" not in name:
            garment = _GARMENT_COLOURS[name.split("-")[0]]
            photo = Image.new("RGB", (90, 120), (250, 250, 250))
            photo.paste(COLOURS[garment], (20, 30, 70, 90))
            photo.save(folder / "images" / f"{name}.jpg", quality=95, subsampling=0)
    write_table(folder, rows, header)
    return folder


def write_table(folder: Path, rows: Sequence[Sequence[str]], header: Sequence[str] = HEADER) -> None:
    with (folder / "images.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *rows])
