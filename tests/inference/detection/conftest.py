"""Tiny untrained detectors of several families, built offline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    ConditionalDetrConfig,
    ConditionalDetrForObjectDetection,
    DeformableDetrConfig,
    DeformableDetrForObjectDetection,
    Deimv2Config,
    Deimv2ForObjectDetection,
    DetrConfig,
    DetrForObjectDetection,
    DFineConfig,
    DFineForObjectDetection,
    PreTrainedModel,
    ResNetConfig,
    RTDetrResNetConfig,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
    YolosConfig,
    YolosForObjectDetection,
)

from aura.taxonomy import CATEGORIES
from inference.detection.architecture import build_tiny, label_maps
from inference.detection.artifact import LabelRules, save_artifact
from inference.detection.preprocess import Preprocess
from inference.detection.shape import TinyShape
from inference.references import LITE0_REFERENCE

LABELS = tuple(category.value for category in CATEGORIES)
FAMILIES = ("compact", "lite0", "detr", "detr_timm", "rt_detr_v2")
"""`compact` and `lite0` are the project's own Conditional DETR, named by their backbones; `detr_timm` is built as
facebook/detr-resnet-50 is: its backbone comes from timm."""
TUNED = ("detr", "conditional_detr", "deformable_detr", "yolos", "rt_detr_v2", "d_fine", "deimv2")
"""Families of transformers that a profile's `detection.base` may name."""


def build(family: str) -> PreTrainedModel:
    """An untrained detector of a family, a few hundred thousand parameters at most (`lite0`: 3 million)."""
    torch.manual_seed(0)
    if family in ("compact", "lite0"):
        backbone = LITE0_REFERENCE if family == "lite0" else ""
        return build_tiny(TinyShape(backbone=backbone, hidden_size=32, queries=8, decoder_layers=2), LABELS)
    shape = _SMALL | label_maps(LABELS)
    if family in ("detr", "detr_timm"):
        from_timm = {"use_timm_backbone": True, "backbone": "test_resnet", "use_pretrained_backbone": False}
        backbone = from_timm if family == "detr_timm" else {"backbone_config": _resnet("stage4")}
        return DetrForObjectDetection(DetrConfig(**backbone, **shape))
    if family == "conditional_detr":
        return ConditionalDetrForObjectDetection(ConditionalDetrConfig(backbone_config=_resnet("stage4"), **shape))
    if family == "deformable_detr":
        maps = _resnet("stage2", "stage3", "stage4")
        return DeformableDetrForObjectDetection(
            DeformableDetrConfig(backbone_config=maps, num_feature_levels=3, **shape)
        )
    if family == "yolos":
        return YolosForObjectDetection(
            YolosConfig(
                hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=[96, 64],
                num_detection_tokens=8, **label_maps(LABELS),
            )
        )  # fmt: skip
    if family in _HYBRIDS:
        config_class, model_class = _HYBRIDS[family]
        return model_class(config_class(**_hybrid(), **label_maps(LABELS)))
    raise ValueError(f"unknown family {family!r}; known: {', '.join(dict.fromkeys(FAMILIES + TUNED))}")


_SMALL = {
    "d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
    "encoder_attention_heads": 2, "decoder_attention_heads": 2, "num_queries": 8,
}  # fmt: skip
_HYBRIDS = {
    "rt_detr_v2": (RTDetrV2Config, RTDetrV2ForObjectDetection),
    "d_fine": (DFineConfig, DFineForObjectDetection),
    "deimv2": (Deimv2Config, Deimv2ForObjectDetection),
}


def _resnet(*maps: str) -> ResNetConfig:
    return ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic", out_features=list(maps)
    )


def _hybrid() -> dict[str, Any]:
    """Configuration of RT-DETR and its kin."""
    backbone = RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic",
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    return _SMALL | {
        "backbone_config": backbone, "encoder_hidden_dim": 32, "encoder_in_channels": [16, 16, 32],
        "decoder_in_channels": [32, 32, 32], "num_denoising": 4, "num_feature_levels": 3,
    }  # fmt: skip


@pytest.fixture
def preprocess() -> Preprocess:
    return Preprocess(height=96, width=64, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


@pytest.fixture
def rules() -> LabelRules:
    return LabelRules(labels=CATEGORIES, thresholds=(0.5,) * len(CATEGORIES), nms_iou=None)


@pytest.fixture(params=FAMILIES)
def any_artifact(request: pytest.FixtureRequest, tmp_path: Path, preprocess: Preprocess, rules: LabelRules) -> Path:
    """Artifact directory of each family in turn."""
    folder = tmp_path / request.param
    folder.mkdir()
    save_artifact(folder, build(request.param), preprocess, rules)
    return folder


@pytest.fixture
def artifact(tmp_path: Path, preprocess: Preprocess, rules: LabelRules) -> Path:
    """Artifact directory of a tiny Conditional DETR."""
    folder = tmp_path / "artifact"
    folder.mkdir()
    save_artifact(folder, build("compact"), preprocess, rules)
    return folder
