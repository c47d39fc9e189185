"""A detector's metrics on the test split, through the class that serves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aura.errors import DataError
from inference.detection.detector import Detector
from inference.detection.postprocess import Ranking
from training.context import Evaluation
from training.detection.calibrate import match, precision_recall
from training.detection.coco import Photo, read_photo, read_split
from training.detection.metrics import Precision, PrecisionMeter
from training.detection.settings import DetectionSettings
from training.device import training_device

_CHUNK = 64
"""Photos decoded at a time, so that memory does not grow with the split."""


def evaluate(artifact_dir: Path, data_dir: Path, settings: DetectionSettings, seed: int) -> Evaluation:  # noqa: ARG001
    """AP50, AP, and precision and recall at the served thresholds, on `DATA/detection/test.json`.

    Slices: AP50 per category (sizes in boxes) and per photo type (sizes in photos).

    Nothing here is random, and only the device is read from the settings: the rest is in the artifact.

    Raises:
        ArtifactError: the artifact is incomplete or corrupt.
        DataError: the split is missing, broken or of other categories.
    """
    detector = Detector.load(artifact_dir, training_device(settings))
    photos, labels = read_split(data_dir, "test")
    known = tuple(label.value for label in detector.rules.labels)
    if labels != known:
        raise DataError(
            f"the test split has the categories {labels}, the detector {known}",
            hint="train it on this data's categories",
        )
    rankings = rank_photos(detector, photos)
    precision = average_precision(rankings, photos, labels)
    shown, found = precision_recall(match(rankings, photos, len(labels)), detector.rules.thresholds)
    types = {name: rows for name, rows in _rows_per_type(photos).items() if any(len(photos[i].labels) for i in rows)}
    return Evaluation(
        metrics={"ap50": precision.ap50, "ap": precision.ap, "precision_served": shown, "recall_served": found},
        slices={
            "category": precision.ap50_per_label,
            "photo type": {
                name: average_precision([rankings[i] for i in rows], [photos[i] for i in rows], labels).ap50
                for name, rows in types.items()
            },
        },
        slice_sizes={
            "category": _boxes_per_label(photos, labels),
            "photo type": {name: len(rows) for name, rows in types.items()},
        },
        n=len(photos),
    )


def _rows_per_type(photos: Sequence[Photo]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = defaultdict(list)
    for row, photo in enumerate(photos):
        rows[photo.photo_type].append(row)
    return dict(sorted(rows.items()))


def _boxes_per_label(photos: Sequence[Photo], labels: tuple[str, ...]) -> dict[str, int]:
    counts = np.bincount(np.concatenate([photo.labels for photo in photos]), minlength=len(labels))
    return dict(zip(labels, counts.tolist(), strict=True))


def rank_photos(detector: Detector, photos: Sequence[Photo]) -> list[Ranking]:
    """Candidates of every photo, in order."""
    rankings: list[Ranking] = []
    for start in range(0, len(photos), _CHUNK):
        rankings += detector.rank([read_photo(photo) for photo in photos[start : start + _CHUNK]])
    return rankings


def average_precision(rankings: list[Ranking], photos: Sequence[Photo], labels: tuple[str, ...]) -> Precision:
    """Average precision of rankings against the photos' boxes."""
    meter = PrecisionMeter(labels)
    for ranking, photo in zip(rankings, photos, strict=True):
        meter.update(ranking, photo.boxes_xyxy_px, photo.labels)
    return meter.compute()
