"""COCO files in, batches out; training and serving see a photo alike."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from aura.errors import DataError
from inference.detection.preprocess import Preprocess
from training.detection.coco import read_photo, read_split
from training.detection.data import AugmentedPhotos, DetectionData, EpochIndices, PlainPhotos, collate
from training.detection.settings import AugmentSettings

_PREPROCESS = Preprocess(height=96, width=64, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@pytest.fixture
def own_data(tmp_path: Path, shapes_dir: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(shapes_dir, tmp_path / "own"))


def _data(data_dir: Path, **changes: int) -> DetectionData:
    settings = {"batch_size": 4, "num_workers": 0, "seed": 5} | changes
    return DetectionData(data_dir, _PREPROCESS, AugmentSettings(), cache=True, **settings)


def test_boxes_and_labels_are_read(shapes_dir: Path) -> None:
    photos, names = read_split(shapes_dir, "train")
    assert len(photos) == 16
    assert names[4] == "shoes"
    assert photos[0].labels.tolist() == [0, 4, 5]
    assert (photos[0].boxes_xyxy_px[:, 2:] > photos[0].boxes_xyxy_px[:, :2]).all()


def test_validation_photos_are_prepared_as_in_serving(shapes_dir: Path) -> None:
    photos, _ = read_split(shapes_dir, "val")
    sample = PlainPhotos(photos, _PREPROCESS, cache=True)[2]
    canvas, placement = _PREPROCESS.place(read_photo(photos[2]))
    np.testing.assert_array_equal(sample.canvas, canvas)
    assert sample.placement == placement
    side = np.array([64, 96, 64, 96])
    cxcywh = sample.boxes_cxcywh_norm * side
    xyxy = np.concatenate([cxcywh[:, :2] - cxcywh[:, 2:] / 2, cxcywh[:, :2] + cxcywh[:, 2:] / 2], axis=1)
    np.testing.assert_allclose(placement.to_photo(xyxy), photos[2].boxes_xyxy_px, atol=1e-3)


def test_batch_shapes(shapes_dir: Path) -> None:
    batch = next(iter(_data(shapes_dir).train_dataloader()))
    assert batch.canvases.shape == (4, 96, 64, 3)
    assert batch.canvases.dtype == torch.uint8
    assert all(target["boxes"].shape == (len(target["class_labels"]), 4) for target in batch.targets)
    assert all(target["boxes"].dtype == torch.float32 for target in batch.targets)
    assert all(target["boxes"].min() >= 0 and target["boxes"].max() <= 1 for target in batch.targets)


def test_views_depend_on_seed_epoch_and_index_only(shapes_dir: Path) -> None:
    photos, _ = read_split(shapes_dir, "train")
    cached = AugmentedPhotos(photos, _PREPROCESS, AugmentSettings(), seed=1, cache=True)
    fresh = AugmentedPhotos(photos, _PREPROCESS, AugmentSettings(), seed=1, cache=False)
    for key in [(0, 3), (7, 1), (7, 3)]:
        cached[(2, key[1])]
        np.testing.assert_array_equal(cached[key].canvas, fresh[key].canvas)
        np.testing.assert_array_equal(cached[key].boxes_cxcywh_norm, fresh[key].boxes_cxcywh_norm)
    assert (cached[(0, 3)].canvas != cached[(1, 3)].canvas).any()


def test_worker_processes_give_the_same_batches(shapes_dir: Path) -> None:
    def first_of_epoch(workers: int, epoch: int) -> torch.Tensor:
        loader = _data(shapes_dir, num_workers=workers).train_dataloader()
        loader.sampler.set_epoch(epoch)
        return next(iter(loader)).canvases

    for epoch in (0, 3):
        assert torch.equal(first_of_epoch(0, epoch), first_of_epoch(1, epoch))


def test_every_photo_once_an_epoch() -> None:
    sampler = EpochIndices(5, seed=1)
    sampler.set_epoch(2)
    assert sorted(sampler) == [(2, index) for index in range(5)]


def test_photos_without_boxes_are_kept(own_data: Path) -> None:
    path = own_data / "detection" / "val.json"
    content = json.loads(path.read_text())
    first = content["images"][0]["id"]
    content["annotations"] = [row for row in content["annotations"] if row["image_id"] != first]
    path.write_text(json.dumps(content))
    photos, _ = read_split(own_data, "val")
    batch = collate([PlainPhotos(photos, _PREPROCESS, cache=True)[0]])
    assert batch.targets[0]["boxes"].shape == (0, 4)


def test_a_missing_split_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="aura data prepare"):
        read_split(tmp_path, "train")


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
def test_a_file_without_a_table_is_refused(own_data: Path, key: str) -> None:
    path = own_data / "detection" / "train.json"
    content = json.loads(path.read_text())
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=key):
        read_split(own_data, "train")


def test_an_unknown_category_is_refused(own_data: Path) -> None:
    path = own_data / "detection" / "train.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 99
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="99"):
        read_split(own_data, "train")


def test_an_empty_split_is_refused(own_data: Path) -> None:
    path = own_data / "detection" / "train.json"
    path.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    with pytest.raises(DataError, match="no photo"):
        read_split(own_data, "train")


def test_splits_with_other_categories_are_refused(own_data: Path) -> None:
    path = own_data / "detection" / "val.json"
    content = json.loads(path.read_text())
    first, second = content["categories"][:2]
    first["name"], second["name"] = second["name"], first["name"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="disagree"):
        _data(own_data)


def test_categories_that_no_artifact_could_hold_are_named_before_the_training(own_data: Path) -> None:
    path = own_data / "detection" / "train.json"
    content = json.loads(path.read_text())
    content["categories"][0]["name"], content["categories"][1]["name"] = "capes", "kilts"
    content["categories"][3]["id"] = content["categories"][2]["id"]
    path.write_text(json.dumps(content))
    with pytest.raises(DataError) as caught:
        _data(own_data)
    assert "categories, row 1: name: Input should be 'tops', 'bottoms'" in caught.value.message
    assert "(got 'kilts')" in caught.value.message
    assert "categories, ids: 2 appears twice" in caught.value.message


@pytest.mark.parametrize("split", ["train", "val"])
def test_a_split_without_a_box_is_refused_before_the_training(own_data: Path, split: str) -> None:
    path = own_data / "detection" / f"{split}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"annotations": []}))
    with pytest.raises(DataError, match=rf"{split}\.json holds no box"):
        _data(own_data)


def test_broken_and_missing_and_other_photos_are_named(own_data: Path) -> None:
    photos, _ = read_split(own_data, "train")
    photos[0].path.write_bytes(b"no photo")
    photos[1].path.unlink()
    shutil.copy(photos[4].path, photos[2].path)
    for index in (0, 1, 2):
        with pytest.raises(DataError, match=photos[index].path.name):
            read_photo(photos[index])
