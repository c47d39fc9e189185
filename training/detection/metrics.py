"""Average precision as COCO defines it, per category and over all.

Categories without ground truth in a split have no average precision and are left out of the means (the usual rule of
COCO); a category with ground truth that is never found counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchmetrics.detection import MeanAveragePrecision

from inference.detection.postprocess import Ranking

RECALLS = np.linspace(0, 1, 101)
"""Recalls that precision is averaged over, as COCO does."""
_ALL_AREAS = 0
_IOU_50 = 0


@dataclass(frozen=True, kw_only=True)
class Precision:
    """Average precision in 0..1.

    Attributes:
        ap: mean over IoU 0.50 to 0.95 and over categories.
        ap50: mean over categories at IoU 0.50.
        ap50_per_label: at IoU 0.50, only labels that have ground truth.
        boxes_per_label: ground truth boxes, every label.
    """

    ap: float
    ap50: float
    ap50_per_label: dict[str, float]
    boxes_per_label: dict[str, int]


class PrecisionMeter:
    """Collects rankings and ground truth of photos; `compute` gives the metrics."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._labels = tuple(labels)
        self._counts = np.zeros(len(self._labels), dtype=np.int64)
        # torchmetrics' own recall points are float32, of which some lie just above COCO's: a recall of 0.05 would miss 0.05.
        self._metric = MeanAveragePrecision(
            box_format="xyxy", rec_thresholds=RECALLS.tolist(), extended_summary=True, backend="pycocotools"
        )

    def update(self, ranking: Ranking, boxes_xyxy_px: np.ndarray, labels: np.ndarray) -> None:
        """One photo: what was found, and its ground truth boxes (N, 4) float and labels (N,) int64."""
        self._counts += np.bincount(labels, minlength=len(self._labels))
        found = {
            "boxes": torch.from_numpy(np.asarray(ranking.boxes_xyxy_px, dtype=np.float32)),
            "scores": torch.from_numpy(np.asarray(ranking.scores)),
            "labels": torch.from_numpy(np.asarray(ranking.labels)),
        }
        truth = {
            "boxes": torch.from_numpy(np.asarray(boxes_xyxy_px, dtype=np.float32)),
            "labels": torch.from_numpy(np.asarray(labels)),
        }
        self._metric.update([found], [truth])

    def compute(self) -> Precision:
        """Raises ValueError: no photo with a box was seen, so that nothing is defined."""
        if not self._counts.any():
            raise ValueError("average precision needs at least one ground truth box")
        summary = self._metric.compute()
        # (IoU thresholds, recall points, classes, areas, detection limits); -1 where a class has no ground truth.
        precision = summary["precision"][:, :, :, _ALL_AREAS, -1].numpy()
        classes = np.atleast_1d(summary["classes"].numpy())
        defined = [k for k in range(len(classes)) if self._counts[classes[k]]]
        ap50 = {self._labels[classes[k]]: float(precision[_IOU_50, :, k].mean()) for k in defined}
        return Precision(
            ap=float(precision[:, :, defined].mean()),
            ap50=float(np.mean(list(ap50.values()))),
            ap50_per_label=ap50,
            boxes_per_label=dict(zip(self._labels, self._counts.tolist(), strict=True)),
        )
