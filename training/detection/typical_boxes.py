"""The control of the detector: boxes that stand where garments mostly stand, in every photo, without looking at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.cluster.vq import kmeans2

from inference.detection.postprocess import Ranking
from training.detection.coco import Photo

_CLUSTERS = 3
"""Typical boxes per category: with one, a category that is worn and laid flat would have none of its own."""


@dataclass(frozen=True, kw_only=True)
class TypicalBoxes:
    """Centres of the training boxes of each category, best first.

    Attributes:
        boxes_xyxy_norm: (K, 4) as fractions of a photo.
        scores: (K,) float32: training boxes near this one, per training photo, at most 1.
        labels: (K,) int64.
    """

    boxes_xyxy_norm: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def placed(self, photo: Photo) -> Ranking:
        """The boxes in a photo's pixels."""
        side_px = np.array([photo.width, photo.height] * 2, dtype=np.float64)
        return Ranking(
            scores=self.scores, labels=self.labels, queries=np.arange(len(self.labels)),
            boxes_xyxy_px=self.boxes_xyxy_norm * side_px,
        )  # fmt: skip


def typical_boxes(photos: Sequence[Photo], n_labels: int) -> TypicalBoxes:
    """Three boxes per category by k-means over its training boxes (fewer where there are fewer distinct boxes)."""
    boxes = np.concatenate(
        [photo.boxes_xyxy_px / np.array([photo.width, photo.height] * 2, dtype=np.float64) for photo in photos]
    )
    labels_N = np.concatenate([photo.labels for photo in photos])
    centres, scores, labels = [], [], []
    for label in range(n_labels):
        of_label = boxes[labels_N == label]
        distinct = len(np.unique(of_label, axis=0))
        if not distinct:
            continue
        means, nearest = kmeans2(of_label, min(_CLUSTERS, distinct), minit="++", rng=np.random.default_rng(0))
        centres.append(means)
        scores.append(np.bincount(nearest, minlength=len(means)) / len(photos))
        labels.append(np.full(len(means), label))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    return TypicalBoxes(
        boxes_xyxy_norm=np.concatenate(centres)[order],
        scores=np.minimum(np.concatenate(scores)[order], 1).astype(np.float32),
        labels=np.concatenate(labels)[order].astype(np.int64),
    )
