"""The tiny Conditional DETR and its backbone; pretrained references."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForObjectDetection

from aura.errors import SettingsError
from inference.detection.architecture import build_tiny, load_pretrained, pretrained_normalisation
from inference.detection.backbone import CompactBackbone, CompactConfig
from inference.detection.shape import TinyShape
from tests.inference.detection.conftest import FAMILIES, LABELS, TUNED, build


@pytest.mark.parametrize("stride", [4, 8, 16, 32])
def test_backbone_map_has_the_stride_asked_for(stride: int) -> None:
    backbone = CompactBackbone(CompactConfig(neck_size=20, out_stride=stride))
    (feature_map,) = backbone(torch.zeros(2, 3, 96, 64)).feature_maps
    assert feature_map.shape == (2, 20, 96 // stride, 64 // stride)
    assert backbone.channels == [20]


def test_backbone_takes_sizes_that_no_stride_divides() -> None:
    backbone = CompactBackbone(CompactConfig(out_stride=8))
    assert backbone(torch.zeros(1, 3, 50, 37)).feature_maps[0].shape[-2:] == (7, 5)


@pytest.mark.parametrize(("key", "value"), [("out_stride", 5), ("depths", [1, 1])])
def test_backbone_refuses_impossible_shapes(key: str, value: object) -> None:
    with pytest.raises(Exception, match=key):
        CompactConfig(**{key: value})


def test_shapes_and_size_of_the_default_network() -> None:
    model = build_tiny(TinyShape(), LABELS).eval()
    output = model(pixel_values=torch.zeros(2, 3, 192, 128))
    assert output.logits.shape == (2, TinyShape().queries, len(LABELS))
    assert output.pred_boxes.shape == (2, TinyShape().queries, 4)
    parameters = sum(p.numel() for p in model.parameters())
    assert 1e6 < parameters < 2.5e6


def test_every_weight_is_trained() -> None:
    """transformers freezes BatchNorm2d layers and parts of a ResNet: neither must happen to a network without weights."""
    model = build_tiny(TinyShape(hidden_size=32), LABELS).train()
    targets = [{"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 0.3, 0.3]])}]
    model(pixel_values=torch.randn(2, 3, 96, 64), labels=targets * 2).loss.backward()
    assert all(parameter.requires_grad for parameter in model.parameters())
    untouched = [name for name, p in model.named_parameters() if p.grad is None]
    # The query of the content attention is added to zeros in the first decoder layer.
    assert [name for name in untouched if "backbone" in name] == []
    assert len(untouched) < 4


def test_initial_predictions_spread_and_expect_nothing() -> None:
    torch.manual_seed(1)
    model = build_tiny(TinyShape(), LABELS).eval()
    output = model(pixel_values=torch.randn(1, 3, 192, 128))
    assert output.logits.sigmoid().mean().item() == pytest.approx(0.01, abs=0.005)
    assert output.pred_boxes[0, :, :2].std(0).min().item() > 0.1
    assert output.pred_boxes[0, :, 2:].mean().item() == pytest.approx(0.25, abs=0.05)


def test_saved_network_loads_with_plain_transformers(tmp_path: Path) -> None:
    model = build("compact").train()
    # Moves the running statistics of the normalisation away from their initial values, as a training does.
    with torch.no_grad():
        model(pixel_values=torch.randn(4, 3, 96, 64) * 3 + 1)
    model.eval().save_pretrained(tmp_path)
    loaded = AutoModelForObjectDetection.from_pretrained(tmp_path).eval()
    expected, actual = model.state_dict(), loaded.state_dict()
    assert expected.keys() == actual.keys()
    for name, value in expected.items():
        torch.testing.assert_close(actual[name], value, msg=name)
    pixels = torch.randn(1, 3, 96, 64)
    torch.testing.assert_close(loaded(pixel_values=pixels).logits, model(pixel_values=pixels).logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_pretrained_keeps_the_body_and_takes_new_labels(tmp_path: Path, family: str) -> None:
    model = build(family)
    model.save_pretrained(tmp_path)
    loaded = load_pretrained(str(tmp_path), ("shoes", "bags"))
    assert loaded.config.id2label == {0: "shoes", 1: "bags"}
    expected, actual = model.state_dict(), loaded.state_dict()
    body = [name for name in expected if "backbone" in name]
    assert body
    for name in body:
        torch.testing.assert_close(actual[name], expected[name])


@pytest.mark.parametrize("family", TUNED)
def test_every_decoder_layer_of_a_pretrained_detector_has_a_loss(tmp_path: Path, family: str) -> None:
    build(family).save_pretrained(tmp_path)
    loaded = load_pretrained(str(tmp_path), LABELS).train()
    target = {"class_labels": torch.tensor([1]), "boxes": torch.tensor([[0.5, 0.5, 0.3, 0.3]])}
    terms = loaded(pixel_values=torch.randn(2, 3, 96, 64), labels=[target] * 2).loss_dict
    of_first_layer = [name for name in terms if name.startswith("loss_giou") and name.endswith("_0")]
    assert bool(of_first_layer) == (family != "yolos"), sorted(terms)


@pytest.mark.parametrize("family", TUNED)
def test_a_replaced_class_head_expects_nothing(tmp_path: Path, family: str) -> None:
    """Focal losses begin at the focal prior; a softmax over "no object" as well begins even."""
    build(family).save_pretrained(tmp_path)
    logits = load_pretrained(str(tmp_path), ("shoes", "bags")).eval()(pixel_values=torch.randn(2, 3, 96, 64)).logits
    if logits.shape[-1] == 3:
        assert logits.softmax(-1).mean().item() == pytest.approx(1 / 3, abs=0.01)
    else:
        # 0.01, or a little more where an untrained estimate of quality is added; with a bias of 0 it would be 0.5.
        assert logits.sigmoid().mean().item() < 0.06


@pytest.mark.parametrize("family", TUNED)
def test_a_class_head_that_fits_is_kept(tmp_path: Path, family: str) -> None:
    model = build(family).eval()
    model.save_pretrained(tmp_path)
    pixels = torch.randn(1, 3, 96, 64)
    loaded = load_pretrained(str(tmp_path), LABELS).eval()
    torch.testing.assert_close(loaded(pixel_values=pixels).logits, model(pixel_values=pixels).logits)


def test_an_unknown_reference_is_named() -> None:
    with pytest.raises(SettingsError, match="no/such-detector"):
        load_pretrained("no/such-detector", LABELS)


def test_normalisation_of_a_reference(tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.1, 0.2, 0.3]}')
    assert pretrained_normalisation(str(tmp_path)) == ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": false, "image_mean": [0.5, 0.5, 0.5]}')
    assert pretrained_normalisation(str(tmp_path)) == ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def test_a_reference_without_normalisation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="normalised"):
        pretrained_normalisation(str(tmp_path))
