"""A detector's metrics on the test split, through the class that serves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from aura.errors import DataError
from inference.detection.detector import Detector
from inference.detection.postprocess import Ranking
from training.context import Evaluation
from training.detection.calibrate import match, precision_recall
from training.detection.coco import Photo, read_photo, read_split
from training.detection.counted_precision import CountedPrecision
from training.detection.metrics import Precision, PrecisionMeter
from training.detection.settings import DetectionSettings
from training.detection.typical_boxes import typical_boxes
from training.device import training_device
from training.judged import JudgedCases, judging_half, reported_half

_MIN_BOXES = 20
"""Boxes of a category below which its AP50 is shown, and judges nothing: two boxes would be a twelfth of the verdict."""
Value = TypeVar("Value")
_CHUNK = 64
"""Photos decoded at a time, so that memory does not grow with the split."""


def evaluate(artifact_dir: Path, data_dir: Path, settings: DetectionSettings, seed: int) -> Evaluation:  # noqa: ARG001
    """AP50, AP, and precision and recall at the served thresholds, on the reported half of `DATA/detection/test.json`.

    Slices: AP50 per category (sizes in boxes) and per photo type (sizes in photos).

    Judged by `ap50` over the categories with at least 20 boxes in the judging half (all categories where none has as many),
    and by each such category.

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
    judges = _judges(photos)
    shown_rankings, shown_photos = _rows(rankings, reported_half(judges)), _rows(photos, reported_half(judges))
    precision = average_precision(shown_rankings, shown_photos, labels)
    shown, found = precision_recall(match(shown_rankings, shown_photos, len(labels)), detector.rules.thresholds)
    types = {
        name: rows
        for name, rows in _rows_per_type(shown_photos).items()
        if any(len(shown_photos[row].labels) for row in rows)
    }
    return Evaluation(
        metrics={"ap50": precision.ap50, "ap": precision.ap, "precision_served": shown, "recall_served": found},
        slices={
            "category": precision.ap50_per_label,
            "photo type": {
                name: average_precision(
                    [shown_rankings[row] for row in rows], [shown_photos[row] for row in rows], labels
                ).ap50
                for name, rows in types.items()
            },
        },
        slice_sizes={
            "category": _boxes_per_label(shown_photos, labels),
            "photo type": {name: len(rows) for name, rows in types.items()},
        },
        n=len(shown_photos),
        judged=_judged(_rows(rankings, judges), _rows(photos, judges), labels),
    )


def controls(data_dir: Path) -> Mapping[str, JudgedCases]:
    """What needs no detector, on the judging half: the same typical boxes in every photo.

    Raises:
        DataError: a split is missing or broken.
    """
    photos, labels = read_split(data_dir, "test")
    judging = _rows(photos, _judges(photos))
    typical = typical_boxes(read_split(data_dir, "train")[0], len(labels))
    return {"typical boxes": _judged([typical.placed(photo) for photo in judging], judging, labels)}


def _judges(photos: Sequence[Photo]) -> np.ndarray:
    """bool (P,): photos of the judging half; all of them where there are so few boxes that one half has none."""
    judges = judging_half([photo.path.name for photo in photos])
    halves = (judges, reported_half(judges))
    if not all(any(len(photo.labels) for photo in _rows(photos, half)) for half in halves):
        return np.ones_like(judges)
    return judges


def _judged(rankings: Sequence[Ranking], photos: Sequence[Photo], labels: tuple[str, ...]) -> JudgedCases:
    precision = CountedPrecision(rankings, photos, len(labels))
    boxes = precision.boxes_CP.sum(axis=1)
    common = np.flatnonzero(boxes >= _MIN_BOXES) if (boxes >= _MIN_BOXES).any() else np.flatnonzero(boxes)

    def measure(counts: np.ndarray) -> dict[str, float]:
        ap50 = precision.ap50(counts)[common]
        defined = ap50[~np.isnan(ap50)]
        slices = {f"category {labels[label]}": float(value) for label, value in zip(common, ap50, strict=True)}
        return {"ap50": float(defined.mean()) if len(defined) else float("nan"), **slices}

    return JudgedCases(
        unit="photos", cases=tuple(photo.path.name for photo in photos), measure=measure,
        sizes={f"category {labels[label]}": int(boxes[label]) for label in common},
    )  # fmt: skip


def _rows(values: Sequence[Value], chosen: np.ndarray) -> list[Value]:
    return [values[row] for row in np.flatnonzero(chosen).tolist()]


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
