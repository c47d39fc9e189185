"""AP50 with counts is COCO's AP50 of a split in which each photo stands as often as it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from inference.detection.postprocess import Ranking
from training.detection.coco import Photo
from training.detection.counted_precision import CountedPrecision
from training.detection.metrics import PrecisionMeter
from training.detection.typical_boxes import typical_boxes

_LABELS = ("tops", "shoes", "bags", "hats")
_SIDE_PX = 100


def _boxes(rng: np.random.Generator, n: int) -> np.ndarray:
    corner = rng.uniform(0, 60, (n, 2))
    return np.concatenate([corner, corner + rng.uniform(10, 40, (n, 2))], axis=1)


def _random_split(seed: int, photos: int = 12) -> tuple[list[Ranking], list[Photo]]:
    """Photos whose candidates are partly the true boxes, moved a little, partly inventions."""
    rng = np.random.default_rng(seed)
    rankings, truth = [], []
    for number in range(photos):
        n = int(rng.integers(0, 5))
        boxes, labels = _boxes(rng, n), rng.integers(0, 3, n)  # no photo has a hat
        truth.append(
            Photo(
                photo_id=number, path=Path(f"{number}.jpg"), width=_SIDE_PX, height=_SIDE_PX, boxes_xyxy_px=boxes,
                labels=labels,
            )
        )  # fmt: skip
        near, farther = (boxes + rng.normal(0, px, (n, 1)) for px in (4, 9))
        found = np.concatenate([near, farther, _boxes(rng, 3)])
        named = np.concatenate([labels, labels, rng.integers(0, 4, 3)])
        # No two photos share a score: how ties are ordered is nobody's rule.
        scores = (rng.permutation(np.linspace(0.05, 0.9, len(found))) + 1e-3 * number).astype(np.float32)
        order = np.argsort(-scores)
        rankings.append(
            Ranking(
                scores=scores[order], labels=named[order], queries=np.arange(len(found)), boxes_xyxy_px=found[order]
            )
        )
    return rankings, truth


def _coco(rankings: list[Ranking], photos: list[Photo], counts: np.ndarray) -> dict[str, float]:
    meter = PrecisionMeter(_LABELS)
    for ranking, photo, count in zip(rankings, photos, counts, strict=True):
        for _ in range(count):
            meter.update(ranking, photo.boxes_xyxy_px, photo.labels)
    return meter.compute().ap50_per_label


@pytest.mark.parametrize("seed", range(6))
def test_it_is_cocos_precision_of_the_repeated_photos(seed: int) -> None:
    rankings, photos = _random_split(seed)
    rng = np.random.default_rng(seed)
    precision = CountedPrecision(rankings, photos, len(_LABELS))
    for counts in (np.ones(len(photos), dtype=np.int64), np.bincount(rng.integers(0, 12, 12), minlength=12)):
        expected = _coco(rankings, photos, counts)
        found = dict(zip(_LABELS, precision.ap50(counts), strict=True))
        assert {name for name, value in found.items() if not np.isnan(value)} == set(expected)
        for name, value in expected.items():
            assert found[name] == pytest.approx(value, abs=1e-6), name


def test_a_photo_that_does_not_count_changes_nothing() -> None:
    rankings, photos = _random_split(1)
    counts = np.ones(len(photos), dtype=np.int64)
    counts[3] = 0
    without = [row for row in range(len(photos)) if row != 3]
    rest = CountedPrecision([rankings[row] for row in without], [photos[row] for row in without], len(_LABELS))
    np.testing.assert_array_equal(
        CountedPrecision(rankings, photos, len(_LABELS)).ap50(counts), rest.ap50(np.ones(11, dtype=np.int64))
    )


def test_typical_boxes_find_what_always_stands_in_one_place_and_nothing_else() -> None:
    rng = np.random.default_rng(0)
    photos = [
        Photo(
            photo_id=number, path=Path(f"{number}.jpg"), width=_SIDE_PX, height=2 * _SIDE_PX, labels=np.array([0, 1]),
            boxes_xyxy_px=np.concatenate([np.array([[20, 30, 70, 150]]) + rng.normal(0, 2, (1, 4)), _boxes(rng, 1)]),
        )
        for number in range(40)
    ]  # fmt: skip
    typical = typical_boxes(photos[:30], n_labels=3)
    held_out = photos[30:]
    precision = CountedPrecision([typical.placed(photo) for photo in held_out], held_out, 3)
    tops, shoes, bags = precision.ap50(np.ones(10, dtype=np.int64))
    assert tops > 0.6
    assert shoes < 0.4
    assert np.isnan(bags)
