"""Losses, average precision and thresholds against values known by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from inference.detection.artifact import NEVER_SHOWN
from inference.detection.postprocess import Ranking
from tests.inference.detection.conftest import FAMILIES, build
from training.detection.calibrate import best_thresholds, match, precision_recall
from training.detection.coco import Photo
from training.detection.losses import use_checked_loss
from training.detection.metrics import PrecisionMeter

_LABELS = ("tops", "shoes", "bags")


def _ranking(*rows: tuple[float, int, tuple[float, float, float, float]]) -> Ranking:
    return Ranking(
        scores=np.array([row[0] for row in rows], dtype=np.float32), labels=np.array([row[1] for row in rows], dtype=np.int64),
        queries=np.arange(len(rows)), boxes_xyxy_px=np.array([row[2] for row in rows], dtype=np.float64).reshape(-1, 4),
    )  # fmt: skip


def _photo(*rows: tuple[int, tuple[float, float, float, float]]) -> Photo:
    return Photo(
        photo_id=1, path=Path("one.jpg"), width=100, height=100, labels=np.array([row[0] for row in rows], dtype=np.int64),
        boxes_xyxy_px=np.array([row[1] for row in rows], dtype=np.float64).reshape(-1, 4),
    )  # fmt: skip


_A, _B, _FAR = (0.0, 0.0, 40.0, 40.0), (50.0, 50.0, 90.0, 90.0), (0.0, 60.0, 20.0, 90.0)


def test_average_precision_of_a_known_case() -> None:
    meter = PrecisionMeter(_LABELS)
    photo = _photo((0, _A), (1, _B))
    meter.update(_ranking((0.9, 0, _A), (0.8, 0, _FAR), (0.3, 2, _B)), photo.boxes_xyxy_px, photo.labels)
    precision = meter.compute()
    # tops: found, and before its false box; shoes: never found; bags: no ground truth, so no metric.
    assert precision.ap50_per_label == {"tops": pytest.approx(1.0), "shoes": pytest.approx(0.0)}
    assert precision.ap50 == pytest.approx(0.5)
    assert precision.ap == pytest.approx(0.5)
    assert precision.boxes_per_label == {"tops": 1, "shoes": 1, "bags": 0}


def test_a_false_box_ahead_halves_the_precision() -> None:
    meter = PrecisionMeter(_LABELS)
    meter.update(_ranking((0.9, 0, _FAR), (0.8, 0, _A)), np.array([_A]), np.array([0]))
    assert meter.compute().ap50 == pytest.approx(0.5)


def test_overlap_counts_at_the_right_thresholds() -> None:
    meter = PrecisionMeter(_LABELS)
    # IoU 0.625: right at 0.50, 0.55 and 0.60 of the ten thresholds.
    meter.update(_ranking((0.9, 0, (0.0, 0.0, 25.0, 40.0))), np.array([_A]), np.array([0]))
    precision = meter.compute()
    assert precision.ap50 == pytest.approx(1.0)
    assert precision.ap == pytest.approx(0.3)


def test_nothing_found_is_zero_and_nothing_there_is_an_error() -> None:
    meter = PrecisionMeter(_LABELS)
    meter.update(_ranking(), np.array([_A]), np.array([1]))
    assert meter.compute().ap50 == 0
    with pytest.raises(ValueError, match="ground truth"):
        PrecisionMeter(_LABELS).compute()


def test_each_box_is_found_once() -> None:
    found = match([_ranking((0.9, 0, _A), (0.8, 0, _A), (0.7, 1, _A))], [_photo((0, _A), (1, _B))], 3)
    assert found.right.tolist() == [True, False, False]
    assert found.boxes_per_label.tolist() == [1, 1, 0]
    assert precision_recall(found, [0.85, 0.85, 0.85]) == (1.0, 0.5)
    assert precision_recall(found, [0.0, 0.0, 0.0]) == (pytest.approx(1 / 3), 0.5)
    assert precision_recall(found, [0.95, 0.95, 0.95]) == (0.0, 0.0)


def test_thresholds_maximise_f1_per_category_where_there_is_enough_to_go_by() -> None:
    photos = [_photo((0, _A), (1, _B)) for _ in range(20)] + [_photo((2, _A))]
    rankings = [_ranking((0.8, 0, _A), (0.6, 0, _FAR), (0.4, 1, _B), (0.2, 1, _FAR)) for _ in range(20)]
    rankings.append(_ranking((0.9, 2, _A)))
    tops, shoes, bags = best_thresholds(match(rankings, photos, 3), 0.0)
    assert tops == pytest.approx(0.8)
    assert shoes == pytest.approx(0.4)
    # One bag is too little: it takes the threshold that is best over all boxes.
    assert bags == pytest.approx(0.4)


def test_thresholds_where_nothing_is_right() -> None:
    found = match([_ranking((0.9, 0, _FAR))], [_photo((0, _A))], 3)
    assert best_thresholds(found, 0.0) == (NEVER_SHOWN,) * 3


def test_a_threshold_shows_no_more_than_is_right_often_enough() -> None:
    photos = [_photo((0, _A), (1, _A)) for _ in range(20)]
    # The best F1 of category 0 shows every box, 20 of 50 right; its 5 surest ones are right. Category 1 is never right.
    rankings = [_ranking((0.9, 0, _A), (0.1, 1, _FAR)) for _ in range(5)]
    rankings += [_ranking((0.6, 0, _FAR), (0.5, 0, _FAR), (0.4, 0, _A), (0.1, 1, _FAR)) for _ in range(15)]
    found = match(rankings, photos, 2)
    assert best_thresholds(found, 0.0) == (0.4, NEVER_SHOWN)
    assert best_thresholds(found, 0.5) == (0.9, NEVER_SHOWN)


@pytest.mark.parametrize("family", FAMILIES)
def test_losses_are_fp32_under_mixed_precision(family: str) -> None:
    model = build(family).train()
    use_checked_loss(model, class_weight=1.0)
    targets = [
        {"class_labels": torch.tensor([1, 3]), "boxes": torch.tensor([[0.5, 0.5, 0.3, 0.3], [0.2, 0.2, 0.1, 0.1]])}
    ]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(pixel_values=torch.randn(2, 3, 96, 64), labels=targets * 2)
    assert output.loss.dtype == torch.float32
    assert all(part.dtype == torch.float32 for part in output.loss_dict.values())
    output.loss.backward()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_loss_that_is_not_finite_raises_with_its_terms(family: str) -> None:
    model = build(family).train()
    use_checked_loss(model, class_weight=1.0)
    head = model.class_embed[-1] if family == "rt_detr_v2" else model.class_labels_classifier
    with torch.no_grad():
        head.bias.fill_(float("nan"))
    targets = [{"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 0.3, 0.3]])}] * 2
    with pytest.raises(FloatingPointError, match="loss_bbox"):
        model(pixel_values=torch.randn(2, 3, 96, 64), labels=targets)


def test_the_class_weight_scales_the_classification_terms_only() -> None:
    targets = [{"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 0.3, 0.3]])}] * 2
    pixels = torch.randn(2, 3, 96, 64)
    plain, weighted = build("compact").eval(), build("compact").eval()
    use_checked_loss(plain, class_weight=1.0)
    use_checked_loss(weighted, class_weight=2.0)
    first, second = plain(pixel_values=pixels, labels=targets), weighted(pixel_values=pixels, labels=targets)
    classification = sum(value for name, value in first.loss_dict.items() if name.startswith("loss_ce"))
    torch.testing.assert_close(second.loss, first.loss + classification)
