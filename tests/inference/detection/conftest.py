"""Tiny untrained detectors of several families, built offline."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import (
    DetrConfig,
    DetrForObjectDetection,
    PreTrainedModel,
    ResNetConfig,
    RTDetrResNetConfig,
    RTDetrV2Config,
    RTDetrV2ForObjectDetection,
)

from aura.taxonomy import CATEGORIES
from inference.detection.architecture import build_tiny, label_maps
from inference.detection.artifact import LabelRules, save_artifact
from inference.detection.preprocess import Preprocess
from inference.detection.shape import TinyShape

LABELS = tuple(category.value for category in CATEGORIES)
FAMILIES = ("conditional_detr", "detr", "detr_timm", "rt_detr_v2")
"""`detr_timm` is built as facebook/detr-resnet-50 is: its backbone comes from timm."""


def build(family: str) -> PreTrainedModel:
    """An untrained detector of a family, a few hundred thousand parameters at most."""
    torch.manual_seed(0)
    if family == "conditional_detr":
        return build_tiny(TinyShape(hidden_size=32, queries=8, decoder_layers=2), LABELS)
    if family in ("detr", "detr_timm"):
        resnet = ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic",
            out_features=["stage4"],
        )  # fmt: skip
        from_timm = {"use_timm_backbone": True, "backbone": "test_resnet", "use_pretrained_backbone": False}
        return DetrForObjectDetection(
            DetrConfig(
                **(from_timm if family == "detr_timm" else {"backbone_config": resnet}),
                d_model=32,
                encoder_layers=1,
                decoder_layers=1,
                encoder_ffn_dim=32,
                decoder_ffn_dim=32,
                encoder_attention_heads=2,
                decoder_attention_heads=2,
                num_queries=8,
                **label_maps(LABELS),
            )
        )
    if family == "rt_detr_v2":
        return RTDetrV2ForObjectDetection(
            RTDetrV2Config(
                backbone_config=RTDetrResNetConfig(
                    embedding_size=8,
                    hidden_sizes=[8, 16, 16, 32],
                    depths=[1, 1, 1, 1],
                    layer_type="basic",
                    out_features=["stage2", "stage3", "stage4"],
                ),
                encoder_hidden_dim=32,
                encoder_in_channels=[16, 16, 32],
                encoder_layers=1,
                encoder_ffn_dim=32,
                encoder_attention_heads=2,
                d_model=32,
                decoder_in_channels=[32, 32, 32],
                decoder_ffn_dim=32,
                decoder_layers=2,
                decoder_attention_heads=2,
                num_queries=8,
                num_denoising=4,
                num_feature_levels=3,
                **label_maps(LABELS),
            )
        )
    raise ValueError(f"unknown family {family!r}; known: {', '.join(FAMILIES)}")


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
    save_artifact(folder, build("conditional_detr"), preprocess, rules)
    return folder
