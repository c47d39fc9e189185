"""Loading an artifact and finding garments, for several families."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aura.errors import ArtifactError
from aura.taxonomy import Category
from inference.detection.detector import Detector
from inference.detection.postprocess import Ranking


def _photos(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(3)
    sizes = [(64, 96), (200, 90), (31, 47), (300, 300), (1, 1)]
    return [
        Image.fromarray(rng.integers(0, 255, (sizes[i % 5][1], sizes[i % 5][0], 3), dtype=np.uint8))
        for i in range(count)
    ]


def test_batched_equals_single(any_artifact: Path) -> None:
    detector = Detector.load(any_artifact)
    photos = _photos(5)
    together = detector.predict(photos, threshold=0.0)
    for photo, found in zip(photos, together, strict=True):
        (alone,) = detector.predict([photo], threshold=0.0)
        assert [detection.category for detection in alone] == [detection.category for detection in found]
        np.testing.assert_allclose(
            [detection.score for detection in alone], [detection.score for detection in found], atol=2e-4
        )
        np.testing.assert_allclose(
            [detection.box_xyxy_px for detection in alone],
            [detection.box_xyxy_px for detection in found],
            atol=0.02 * max(photo.size),
        )


def test_boxes_lie_in_the_photo_and_come_best_first(any_artifact: Path) -> None:
    detector = Detector.load(any_artifact)
    answers = detector.predict(_photos(3), threshold=0.0)
    # Untrained, a model may put all its boxes beside one of the photos.
    assert any(answers)
    for photo, found in zip(_photos(3), answers, strict=True):
        assert [detection.score for detection in found] == sorted(
            (detection.score for detection in found), reverse=True
        )
        for detection in found:
            x0, y0, x1, y1 = detection.box_xyxy_px
            assert 0 <= x0 < x1 <= photo.width
            assert 0 <= y0 < y1 <= photo.height
            assert isinstance(detection.category, Category)


def test_a_box_beside_the_photo_is_no_garment(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = Detector.load(artifact)
    # A prediction off the canvas ends at its edge, without height: no two copies of such a box overlap.
    edge, inside = [10.0, 96.0, 60.0, 96.004], [10.0, 50.0, 60.0, 96.0]
    ranking = Ranking(
        scores=np.array([0.9, 0.8], dtype=np.float32), labels=np.array([0, 0]), queries=np.array([0, 1]),
        boxes_xyxy_px=np.array([edge, inside]),
    )  # fmt: skip
    monkeypatch.setattr(detector, "rank", lambda _photos: [ranking])
    [found] = detector.predict(_photos(1), threshold=0.0)
    assert [detection.box_xyxy_px for detection in found] == [tuple(inside)]


def test_more_photos_than_a_batch_keep_their_order(artifact: Path) -> None:
    detector = Detector.load(artifact)
    photos = _photos(20)
    assert len(detector.predict(photos, threshold=0.0)) == 20
    tops = [detector.predict([photo], threshold=0.0)[0][0].box_xyxy_px for photo in photos]
    batched = [found[0].box_xyxy_px for found in detector.predict(photos, threshold=0.0)]
    np.testing.assert_allclose(batched, tops, atol=3)


def test_no_photos_give_no_results(artifact: Path) -> None:
    assert Detector.load(artifact).predict([]) == []


def test_one_object_is_shown_under_one_category(artifact: Path) -> None:
    (found,) = Detector.load(artifact).predict(_photos(1), threshold=0.0)
    assert len(found) == 8


def test_thresholds_of_the_artifact_apply_unless_one_is_given(artifact: Path) -> None:
    assert Detector.load(artifact).predict(_photos(1)) == [[]]
    path = artifact / "labels.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"thresholds": [0.0] * len(values["labels"])}))
    detector = Detector.load(artifact)
    assert len(detector.predict(_photos(1))[0]) == 8
    assert detector.predict(_photos(1), threshold=0.99) == [[]]


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocess.json", "labels.json"])
def test_a_missing_file_is_named(artifact: Path, name: str) -> None:
    (artifact / name).unlink()
    with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
        Detector.load(artifact)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocess.json", "labels.json"])
def test_a_corrupt_file_is_an_artifact_error(artifact: Path, name: str) -> None:
    path = artifact / name
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ArtifactError):
        Detector.load(artifact)


@pytest.mark.parametrize("name", ["config.json", "preprocess.json", "labels.json"])
def test_json_of_another_kind_is_an_artifact_error(artifact: Path, name: str) -> None:
    (artifact / name).write_text('{"something": "else"}')
    with pytest.raises(ArtifactError):
        Detector.load(artifact)


def test_weights_of_another_shape_are_refused(artifact: Path) -> None:
    path = artifact / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"num_queries": 9}))
    with pytest.raises(ArtifactError, match="do not fit"):
        Detector.load(artifact)


def test_missing_weights_are_refused(artifact: Path) -> None:
    path = artifact / "config.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"decoder_layers": 3}))
    with pytest.raises(ArtifactError, match="do not fit"):
        Detector.load(artifact)


def test_labels_that_disagree_with_the_config_are_refused(artifact: Path) -> None:
    path = artifact / "labels.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"labels": values["labels"][::-1]}))
    with pytest.raises(ArtifactError, match="names the classes"):
        Detector.load(artifact)


def test_an_unknown_label_is_refused(artifact: Path) -> None:
    path = artifact / "labels.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | {"labels": ["capes", *values["labels"][1:]]}))
    with pytest.raises(ArtifactError, match="capes"):
        Detector.load(artifact)
