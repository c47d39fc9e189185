"""Segmentations of COCO files: the same masks as COCO's own code, and no memory of others for damaged ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from aura.errors import DataError
from dataprep.segmentation import mask_of


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 1000))
def test_packed_runs_are_read_as_coco_writes_them(width: int, height: int, share: float, seed: int) -> None:
    drawn = np.random.default_rng(seed).random((height, width)) < share
    packed = coco_mask.encode(np.asfortranarray(drawn.astype(np.uint8)))
    for counts in (packed["counts"], packed["counts"].decode()):
        found = mask_of({"size": [height, width], "counts": counts}, (width, height), (width, height))
        assert (found == drawn).all()


@given(st.binary(max_size=40) | st.lists(st.integers(-5, 700) | st.floats(0, 9), max_size=6) | st.none())
def test_damaged_runs_are_a_mask_or_an_error(counts: Any) -> None:
    try:
        found = mask_of({"size": [20, 30], "counts": counts}, (30, 20), (30, 20))
    except DataError:
        return
    assert found.shape == (20, 30)


def test_a_mask_is_scaled_with_its_photo() -> None:
    box = [[5, 5, 10, 5, 10, 15, 5, 15]]
    assert mask_of(box, (30, 20), (60, 40)).sum() == 200
    runs = {"size": [2, 3], "counts": [2, 2, 2]}
    assert mask_of(runs, (3, 2), (6, 4)).sum() == 8
    assert mask_of(runs, (3, 2), (6, 4))[:, 2:4].all()


def test_a_corner_far_outside_costs_nothing() -> None:
    assert mask_of([[-1e12, 5, 1e12, 5, 1e12, 15, -1e12, 15]], (30, 20), (30, 20)).sum() == 300


@pytest.mark.parametrize("polygons", [[], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, float("nan")]], [[1, 2, 3, 4, 5, 6, 7]]])
def test_damaged_polygons_are_refused(polygons: list[list[float]]) -> None:
    with pytest.raises(DataError):
        mask_of(polygons, (30, 20), (30, 20))
