"""Training on a pretrained backbone: what keeps its weights, what learns how fast, and champions of either backbone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from aura.artifact import read_json
from inference.detection.artifact import load_network
from inference.detection.detector import Detector
from inference.detection.lite0_backbone import Lite0Backbone, Lite0Config
from inference.efficientnet_lite0 import imagenet_weights
from tests.training.detection.conftest import make_context
from training.average_record import recorded_average
from training.detection.module import DetectionModule
from training.detection.settings import DetectionSettings
from training.detection.train import train
from training.detection.warm_start import initial_model

LABELS = ("tops", "shoes", "bags")
PREFIX = "model.backbone.model.network."


def _imagenet() -> dict[str, torch.Tensor]:
    backbone = Lite0Backbone(Lite0Config())
    backbone.load_pretrained(imagenet_weights())
    return {f"{PREFIX}{name}": value for name, value in backbone.network.state_dict().items()}


def test_a_night_on_it_and_the_night_after(
    quick_lite0: DetectionSettings, tmp_path: Path, shapes_dir: Path, recwarn: pytest.WarningsRecorder
) -> None:
    train(quick_lite0, make_context(tmp_path / "first", shapes_dir))
    champion = tmp_path / "first" / "out"
    preprocess = read_json(champion / "preprocess.json", "the preprocessing")
    assert (preprocess["mean"], preprocess["std"]) == ([0.5] * 3, [0.5] * 3)
    trained, pretrained = load_network(champion).state_dict(), _imagenet()
    moved = {name.removeprefix(PREFIX) for name in pretrained if not torch.equal(trained[name], pretrained[name])}
    assert moved
    assert {name.split(".")[1] for name in moved} <= {"5", "6"}, "the first four stages are frozen"
    assert not [name for name in moved if "conv_dw" in name]
    assert len(Detector.load(champion).predict([Image.new("RGB", (80, 120))], threshold=0.0)[0]) == 8

    train(quick_lite0, make_context(tmp_path / "second", shapes_dir, base_dir=champion, seed=9))
    assert recorded_average(tmp_path / "second" / "out") is not None
    assert not [warning for warning in recwarn if "profile's base" in str(warning.message)]


def test_a_champion_on_the_other_backbone_is_left_with_a_warning(
    quick: DetectionSettings, quick_lite0: DetectionSettings, tmp_path: Path, shapes_dir: Path
) -> None:
    for name, before, after in (("own", quick, quick_lite0), ("pretrained", quick_lite0, quick)):
        train(before, make_context(tmp_path / name, shapes_dir))
        with pytest.warns(UserWarning, match="preprocess, backbone_config differ"):
            assert not initial_model(after, _labels(tmp_path / name / "out"), tmp_path / name / "out").warm_started


def _labels(artifact: Path) -> tuple[str, ...]:
    return tuple(read_json(artifact / "labels.json", "the labels")["labels"])


@pytest.mark.parametrize("backbone", ["own", "pretrained"])
def test_everything_that_is_trained_is_in_the_optimiser_once(
    quick: DetectionSettings, quick_lite0: DetectionSettings, backbone: str
) -> None:
    settings = quick if backbone == "own" else quick_lite0
    initial = initial_model(settings, LABELS, None)
    module = DetectionModule(initial.model, LABELS, initial.preprocess, settings)
    names = {id(parameter): name for name, parameter in module.named_parameters() if parameter.requires_grad}
    rates = {
        names[id(parameter)]: group["lr"] / settings.learning_rate
        for group in module._parameter_groups()
        for parameter in group["params"]
    }
    assert sum(len(group["params"]) for group in module._parameter_groups()) == len(rates)
    assert set(rates) == set(names.values())
    assert rates["auxiliary_head.labels.weight"] == 1
    assert rates["model.class_labels_classifier.weight"] == 1
    assert rates["model.model.backbone.model.laterals.0.0.weight"] == settings.neck_rate
    part = "stages.3.0.first.0.weight" if backbone == "own" else "network.blocks.6.0.conv_pw.weight"
    assert rates[f"model.model.backbone.model.{part}"] == pytest.approx(settings.backbone_rate)


def test_sides_are_whole_cells(quick: DetectionSettings) -> None:
    values = quick.model_dump()
    for change in ({"image_width": 72}, {"base": "facebook/detr-resnet-50", "tiny": {}, "image_width": 80}):
        with pytest.raises(ValueError, match="must be multiples of"):
            DetectionSettings.model_validate(values | change)
    assert DetectionSettings.model_validate(values | {"image_width": 80}).image_width == 80


def test_frozen_stages_need_a_pretrained_backbone(quick: DetectionSettings) -> None:
    with pytest.raises(ValueError, match="frozen_stages would be ignored"):
        DetectionSettings.model_validate(quick.model_dump() | {"frozen_stages": 2})
