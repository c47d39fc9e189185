"""AP50 of photos that count any number of times, as a bootstrap draws them.

Boxes are matched within a photo, so that is done once: a draw changes only how much each box weighs. Matching and
interpolation are COCO's, at IoU 0.50.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torchvision.ops import box_iou

from inference.detection.postprocess import Ranking
from training.detection.coco import Photo
from training.detection.metrics import RECALLS

_IOU = 0.5


class CountedPrecision:
    """Matched boxes of P photos.

    Args:
        rankings: P, the candidates of each photo.
        photos: P, with their ground truth.
        n_labels: number of categories C.
    """

    def __init__(self, rankings: Sequence[Ranking], photos: Sequence[Photo], n_labels: int) -> None:
        self.boxes_CP = np.zeros((n_labels, len(photos)), dtype=np.int64)
        scores, labels, right, rows = [], [], [], []
        for row, (ranking, photo) in enumerate(zip(rankings, photos, strict=True)):
            self.boxes_CP[:, row] = np.bincount(photo.labels, minlength=n_labels)
            scores.append(ranking.scores)
            labels.append(ranking.labels)
            right.append(_right(ranking, photo))
            rows.append(np.full(len(ranking.scores), row))
        order = np.argsort(-np.concatenate(scores), kind="stable")
        by_label = np.concatenate(labels)[order]
        self._boxes = [
            (np.concatenate(right)[order][by_label == label], np.concatenate(rows)[order][by_label == label])
            for label in range(n_labels)
        ]

    def ap50(self, counts: np.ndarray) -> np.ndarray:
        """float (C,) for counts int (P,); NaN where no photo that counts has a box of the category."""
        return np.array([self._ap50(label, counts) for label in range(len(self._boxes))])

    def _ap50(self, label: int, counts: np.ndarray) -> float:
        truth = int(self.boxes_CP[label] @ counts)
        if not truth:
            return float("nan")
        right, rows = self._boxes[label]
        weights = counts[rows]
        right, weights = right[weights > 0], weights[weights > 0]
        if not right.any():
            return 0.0
        found = np.cumsum(np.where(right, weights, 0))
        precision = np.maximum.accumulate((found / np.cumsum(weights))[::-1])[::-1]
        at = np.searchsorted(found / truth, RECALLS, side="left")
        return float(np.where(at < len(precision), precision[np.minimum(at, len(precision) - 1)], 0.0).mean())


def _right(ranking: Ranking, photo: Photo) -> np.ndarray:
    """bool (K,): candidates that find a ground truth box of their label, each box at most once, the best score first."""
    free = np.ones(len(photo.labels), dtype=bool)
    overlaps = box_iou(torch.from_numpy(ranking.boxes_xyxy_px), torch.from_numpy(photo.boxes_xyxy_px)).numpy()
    right = np.zeros(len(ranking.scores), dtype=bool)
    for k in np.argsort(-ranking.scores, kind="stable"):
        fits = np.where(free & (photo.labels == ranking.labels[k]), overlaps[k], 0.0)
        if fits.size and fits.max() >= _IOU:
            free[fits.argmax()] = False
            right[k] = True
    return right
