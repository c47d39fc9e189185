"""Plots of a training: ground truth beside prediction, curves, average precision per category."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from aura.taxonomy import Category
from inference.category_colours import CATEGORY_COLOURS
from inference.detection.detector import Detector
from training.curves import Panel, draw_curves
from training.detection.coco import Photo, read_photo
from training.detection.losses import CLASS_TERMS
from training.detection.metrics import Precision

_DPI = 110
_SHOWN_PHOTOS = 6
_SHOWN_HEIGHT_PX = 640

_LOSSES = ("loss", *CLASS_TERMS, "loss_bbox", "loss_giou", "loss_auxiliary")
_CURVES = (
    Panel("training loss", tuple(f"train/{name}" for name in _LOSSES), logarithmic=True),
    Panel("validation", ("val/ap50", "val/ap")),
)


def draw_all(folder: Path, detector: Detector, photos: Sequence[Photo], precision: Precision) -> None:
    """Write `boxes.png`, `ap50_per_category.png` and, where `history.csv` lies in the folder, `curves.png`."""
    folder.mkdir(parents=True, exist_ok=True)
    draw_boxes(folder / "boxes.png", detector, photos)
    draw_precision(folder / "ap50_per_category.png", precision)
    if (folder / "history.csv").is_file():
        draw_curves(folder / "curves.png", folder / "history.csv", _CURVES)


def draw_boxes(path: Path, detector: Detector, photos: Sequence[Photo]) -> None:
    """Six of the photos with most garments, as `draw_pairs` does."""
    chosen = sorted(photos, key=lambda photo: (-len(set(photo.labels.tolist())), photo.photo_id))
    draw_pairs(path, detector, chosen[:: max(1, len(chosen) // (2 * _SHOWN_PHOTOS))][:_SHOWN_PHOTOS])


def draw_pairs(path: Path, detector: Detector, photos: Sequence[Photo]) -> None:
    """Every photo twice: ground truth left, what the detector would show right."""
    images = [read_photo(photo) for photo in photos]
    names = [label.value for label in detector.rules.labels]
    columns = min(3, len(photos))
    rows = -(-len(photos) // columns)
    aspect = float(np.median([image.height / image.width for image in images]))
    figure = Figure(figsize=(columns * 5.2, rows * (2.5 * aspect + 0.45)), layout="constrained")
    grid = np.atleast_2d(figure.subplots(rows, 2 * columns)).reshape(rows, 2 * columns)
    for axis in grid.flat:
        axis.set_axis_off()
    for index, (photo, image, found) in enumerate(zip(photos, images, detector.predict(images), strict=True)):
        truth, shown = grid[index // columns, 2 * (index % columns) : 2 * (index % columns) + 2]
        boxes = [(names[label], None, tuple(box)) for label, box in zip(photo.labels, photo.boxes_xyxy_px, strict=True)]
        _draw_photo(truth, image, boxes, "ground truth")
        _draw_photo(shown, image, [(d.category.value, d.score, d.box_xyxy_px) for d in found], "detector")
    _save(figure, path)


def _draw_photo(
    axis: Any, image: Image.Image, boxes: Sequence[tuple[str, float | None, tuple[float, ...]]], title: str
) -> None:
    scale = min(1.0, _SHOWN_HEIGHT_PX / image.height)
    axis.imshow(image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale)))))
    axis.set_title(title, fontsize=9, color="#444444")
    # Large boxes first, so that a belt's label is not hidden under a coat's.
    for label, score, box in sorted(boxes, key=lambda label_score_box: -_area(label_score_box[2])):
        x0, y0, x1, y1 = (value * scale for value in box)
        colour = CATEGORY_COLOURS[Category(label)]
        axis.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=1.6))
        axis.text(
            x0, y0, label if score is None else f"{label} {score:.2f}", fontsize=6.5, color="white",
            verticalalignment="bottom", clip_on=True,
            bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.0},
        )  # fmt: skip


def _area(box_xyxy: tuple[float, ...]) -> float:
    x0, y0, x1, y1 = box_xyxy
    return (x1 - x0) * (y1 - y0)


def draw_precision(path: Path, precision: Precision) -> None:
    """Bars of AP50 per category, best first, with the number of ground truth boxes behind each."""
    order = sorted(precision.ap50_per_label, key=lambda label: precision.ap50_per_label[label])
    values = [precision.ap50_per_label[label] for label in order]
    figure = Figure(figsize=(7.2, 0.36 * len(order) + 1.3), layout="constrained")
    axis = figure.subplots()
    axis.barh(
        [f"{label}  ({precision.boxes_per_label[label]})" for label in order], values,
        color=[CATEGORY_COLOURS[Category(label)] for label in order],
    )  # fmt: skip
    for row, value in enumerate(values):
        axis.text(value + 0.01, row, f"{value:.2f}", va="center", fontsize=8)
    axis.axvline(precision.ap50, color="#222222", linestyle="--", linewidth=1)
    axis.set_xlim(0, max(1.0, *values))
    axis.set_xlabel("AP50 (boxes of the category in brackets)")
    missing = [label for label, boxes in precision.boxes_per_label.items() if not boxes]
    without_boxes = f"; none here: {', '.join(missing)}" if missing else ""
    axis.set_title(f"Validation split, mean AP50 {precision.ap50:.3f}{without_boxes}", fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, facecolor="white")
