"""Score thresholds for serving, chosen on the validation split at IoU 0.50.

The best F1 of each category among those at which enough of what is shown is right. Where a category is hardly seen, F1 alone
takes a low threshold, which finds a few boxes more and shows many that are wrong: belts wherever belts are worn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import box_iou

from inference.detection.artifact import NEVER_SHOWN
from inference.detection.postprocess import Ranking
from training.detection.coco import Photo

_IOU = 0.5
_MIN_BOXES = 20
"""With fewer ground truth boxes a category takes the threshold that is best over all categories."""
_LOWEST, _HIGHEST = 0.05, 0.9


@dataclass(frozen=True, kw_only=True)
class Matches:
    """Shown boxes of a split, judged: scores (N,) float, labels (N,) int64, right (N,) bool; boxes_per_label (C,) int64."""

    scores: np.ndarray
    labels: np.ndarray
    right: np.ndarray
    boxes_per_label: np.ndarray


def match(rankings: Sequence[Ranking], photos: Sequence[Photo], n_labels: int) -> Matches:
    """Match the boxes that serving would show (the best label of each query); each ground truth box is found at most once."""
    scores, labels, right = [], [], []
    for ranking, photo in zip(rankings, photos, strict=True):
        _, first = np.unique(ranking.queries, return_index=True)
        shown = np.sort(first)
        free = np.ones(len(photo.labels), dtype=bool)
        overlaps = box_iou(
            torch.from_numpy(ranking.boxes_xyxy_px[shown]), torch.from_numpy(photo.boxes_xyxy_px)
        ).numpy()
        for row, k in enumerate(shown):
            fits = np.where(free & (photo.labels == ranking.labels[k]), overlaps[row], 0.0)
            hit = fits.size > 0 and fits.max() >= _IOU
            if hit:
                free[fits.argmax()] = False
            right.append(hit)
        scores.append(ranking.scores[shown])
        labels.append(ranking.labels[shown])
    return Matches(
        scores=np.concatenate(scores), labels=np.concatenate(labels), right=np.array(right, dtype=bool),
        boxes_per_label=np.bincount(np.concatenate([photo.labels for photo in photos]), minlength=n_labels),
    )  # fmt: skip


def best_thresholds(matches: Matches, min_precision: float) -> tuple[float, ...]:
    """One threshold per label, in 0.05..0.9, or `NEVER_SHOWN` where no threshold is that precise.

    Args:
        min_precision: share of the boxes shown that must be right, 0 to 1.
    """
    shared = _best_f1_score(matches.scores, matches.right, int(matches.boxes_per_label.sum()), min_precision)
    found = []
    for label, boxes in enumerate(matches.boxes_per_label):
        of_label = matches.labels == label
        found.append(
            _best_f1_score(matches.scores[of_label], matches.right[of_label], int(boxes), min_precision)
            if boxes >= _MIN_BOXES
            else shared
        )
    return tuple(found)


def precision_recall(matches: Matches, thresholds: Sequence[float]) -> tuple[float, float]:
    """Share of shown boxes that are right, and of ground truth boxes that are found, over all labels; 0 where undefined."""
    shown = matches.scores >= np.array(thresholds)[matches.labels]
    right = float((matches.right & shown).sum())
    return right / max(1, int(shown.sum())), right / max(1, int(matches.boxes_per_label.sum()))


def _best_f1_score(scores: np.ndarray, right: np.ndarray, boxes: int, min_precision: float) -> float:
    """Score of the last box that the best F1 shows."""
    order = np.argsort(-scores, kind="stable")
    hits, shown = np.cumsum(right[order]), np.arange(1, len(order) + 1)
    f1 = np.where(hits >= min_precision * shown, 2 * hits / (shown + boxes), 0.0)
    if not f1.any():
        return NEVER_SHOWN
    return round(float(np.clip(scores[order][int(f1.argmax())], _LOWEST, _HIGHEST)), 4)
