"""Post-processing: scores, boxes, suppression."""

from __future__ import annotations

import pytest
import torch

from inference.detection.postprocess import MAX_DETECTIONS, Ranking, class_scores, rank_candidates
from inference.detection.preprocess import Placement, Preprocess

_PLACEMENT = Placement(photo_width=640, photo_height=960, left=0, top=0, width=64, height=96)


def _rank(logits: torch.Tensor, boxes: torch.Tensor, preprocess: Preprocess, nms_iou: float | None = None) -> Ranking:
    (ranking,) = rank_candidates(logits, boxes, [_PLACEMENT], preprocess, n_labels=3, nms_iou=nms_iou)
    return ranking


def test_softmax_families_drop_the_no_object_class() -> None:
    scores = class_scores(torch.tensor([[0.0, 0.0, 0.0, 100.0], [5.0, 0.0, 0.0, 0.0]]), 3)
    assert scores.shape == (2, 3)
    assert scores[0].sum().item() == pytest.approx(0, abs=1e-6)
    assert scores[1, 0].item() == pytest.approx(0.98, abs=0.01)


def test_sigmoid_families_score_each_class_alone() -> None:
    assert class_scores(torch.zeros(1, 3), 3).tolist() == [[0.5, 0.5, 0.5]]


def test_other_widths_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="5 logits for 3 labels"):
        class_scores(torch.zeros(1, 5), 3)


def test_candidates_come_best_first_in_photo_pixels(preprocess: Preprocess) -> None:
    logits = torch.tensor([[[-9.0, 2.0, -9.0], [3.0, -9.0, 1.0]]])
    boxes = torch.tensor([[[0.5, 0.5, 0.5, 0.25], [0.9, 0.9, 0.4, 0.4]]])
    ranking = _rank(logits, boxes, preprocess)
    assert ranking.labels[:3].tolist() == [0, 1, 2]
    assert ranking.queries[:3].tolist() == [1, 0, 1]
    assert (ranking.scores[:-1] >= ranking.scores[1:]).all()
    assert ranking.boxes_xyxy_px[1].tolist() == pytest.approx([160, 360, 480, 600])
    # The second query reaches over the edge: its box is clipped to the photo.
    assert ranking.boxes_xyxy_px[0].tolist() == pytest.approx([448, 672, 640, 960], abs=0.01)


def test_suppression_is_per_label(preprocess: Preprocess) -> None:
    logits = torch.tensor([[[3.0, -9.0, -9.0], [2.0, -9.0, -9.0], [-9.0, 1.0, -9.0]]])
    boxes = torch.tensor([[[0.5, 0.5, 0.4, 0.4], [0.5, 0.5, 0.4, 0.38], [0.5, 0.5, 0.4, 0.4]]])
    kept = _rank(logits, boxes, preprocess, nms_iou=0.7)
    high = kept.scores > 0.5
    assert list(zip(kept.labels[high].tolist(), kept.queries[high].tolist(), strict=True)) == [(0, 0), (1, 2)]
    assert int((_rank(logits, boxes, preprocess).scores > 0.5).sum()) == 3


def test_at_most_a_hundred_candidates(preprocess: Preprocess) -> None:
    ranking = _rank(torch.randn(1, 60, 3), torch.rand(1, 60, 4), preprocess)
    assert len(ranking.scores) == MAX_DETECTIONS


def test_half_precision_output_is_decoded_in_fp32(preprocess: Preprocess) -> None:
    ranking = _rank(torch.zeros(1, 4, 3, dtype=torch.bfloat16), torch.rand(1, 4, 4, dtype=torch.bfloat16), preprocess)
    assert ranking.scores.dtype == "float32"
