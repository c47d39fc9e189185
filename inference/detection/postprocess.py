"""From a DETR's raw output to scored boxes in the photo's pixels, the same in validation, evaluation and serving."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import batched_nms, box_convert

from inference.detection.preprocess import Placement, Preprocess

MAX_DETECTIONS = 100
"""Boxes kept per photo, as many as COCO's average precision counts."""


@dataclass(frozen=True, kw_only=True)
class Ranking:
    """Every candidate box of one photo, best first, before any threshold: what average precision is computed from.

    Attributes:
        scores: (K,) float32 in 0..1.
        labels: (K,) int64 class indices.
        queries: (K,) int64: candidates of one query are one object under several labels.
        boxes_xyxy_px: (K, 4) float64 in px of the upright photo.
    """

    scores: np.ndarray
    labels: np.ndarray
    queries: np.ndarray
    boxes_xyxy_px: np.ndarray


def class_scores(logits: torch.Tensor, n_labels: int) -> torch.Tensor:
    """Probabilities (..., n_labels) of logits (..., n_labels [+ 1]).

    DETR and YOLOS carry one class more, "no object", under a softmax; the focal-loss families (Conditional, Deformable,
    RT-DETR, D-FINE) have independent sigmoids.

    Raises:
        ValueError: the last axis fits neither.
    """
    if logits.shape[-1] == n_labels + 1:
        return logits.softmax(-1)[..., :-1]
    if logits.shape[-1] == n_labels:
        return logits.sigmoid()
    raise ValueError(f"{logits.shape[-1]} logits for {n_labels} labels; expected {n_labels} or {n_labels + 1}")


def rank_candidates(
    logits: torch.Tensor,
    boxes_cxcywh_norm: torch.Tensor,
    placements: Sequence[Placement],
    preprocess: Preprocess,
    *,
    n_labels: int,
    nms_iou: float | None,
) -> list[Ranking]:
    """Best (query, label) pairs of every photo, computed in fp32.

    Args:
        logits: (B, Q, n_labels [+ 1]).
        boxes_cxcywh_norm: (B, Q, 4) as fractions of the canvas.
        placements: B, where each photo lies on its canvas.
        nms_iou: drop a box that overlaps a better one of its label by more; None: keep all.
    """
    scores_BQC = class_scores(logits.float(), n_labels)
    kept = min(MAX_DETECTIONS, scores_BQC[0].numel())
    scores_BK, flat_BK = scores_BQC.flatten(1).topk(kept, dim=1)
    labels_BK, queries_BK = flat_BK % n_labels, flat_BK // n_labels
    boxes_BQ4 = box_convert(boxes_cxcywh_norm.float(), "cxcywh", "xyxy").clamp(0.0, 1.0)
    boxes_BK4 = boxes_BQ4.gather(1, queries_BK[..., None].expand(-1, -1, 4))
    side_px = np.array([preprocess.width, preprocess.height] * 2, dtype=np.float64)
    rankings = []
    for row, placement in enumerate(placements):
        keep = torch.arange(kept, device=logits.device)
        if nms_iou is not None:
            keep = batched_nms(boxes_BK4[row], scores_BK[row], labels_BK[row], nms_iou)
        rankings.append(
            Ranking(
                scores=scores_BK[row, keep].cpu().numpy(),
                labels=labels_BK[row, keep].cpu().numpy(),
                queries=queries_BK[row, keep].cpu().numpy(),
                boxes_xyxy_px=placement.to_photo(boxes_BK4[row, keep].cpu().numpy() * side_px),
            )
        )
    return rankings
