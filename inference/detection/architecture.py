"""Detector networks: a tiny Conditional DETR, from scratch or on a pretrained backbone, or any DETR of transformers by name.

Conditional DETR: arXiv 2108.06152. Initial weights deviate from transformers' (normal with 0.02, made for pretraining at
256 channels): Xavier as in DETR (arXiv 2005.12872, section A.4), class biases at the focal prior (arXiv 1708.02002,
section 4.1), and reference points and box sizes spread as garments are. In minutes from scratch the initial weights decide.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForObjectDetection,
    ConditionalDetrConfig,
    ConditionalDetrForObjectDetection,
    PreTrainedModel,
)
from transformers.image_processing_base import ImageProcessingMixin

from aura.errors import HubUnavailableError, SettingsError
from inference.detection.backbone import CompactConfig
from inference.detection.lite0_backbone import Lite0Backbone, Lite0Config
from inference.detection.neck import NeckConfig
from inference.detection.shape import TinyShape
from inference.efficientnet_lite0 import MEAN, STD, imagenet_weights
from inference.hub import hub_is_away
from inference.references import split_revision

_CLASS_PRIOR = 0.01
_LOSS_PER_LAYER = ("detr", "table-transformer", "conditional_detr", "dab-detr", "deformable_detr")
"""Families whose configs leave out the losses of all but the last decoder layer, unless they are asked. RT-DETR and its kin have
them; YOLOS has none, and fails if it is asked."""
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_INITIAL_SIDE = 0.25
"""Side of a box before training, as a fraction of the canvas."""


def label_maps(labels: tuple[str, ...]) -> dict[str, Any]:
    """`id2label` and `label2id` of a transformers config."""
    return {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}


def build_tiny(shape: TinyShape, labels: tuple[str, ...]) -> ConditionalDetrForObjectDetection:
    """Conditional DETR before its training; all but a pretrained backbone is drawn from torch's global generator.

    Raises:
        ArtifactError: the wheel of `shape.backbone` is not installed, or holds something else.
    """
    config = ConditionalDetrConfig(
        backbone_config=_backbone_config(shape),
        d_model=shape.hidden_size,
        encoder_layers=shape.encoder_layers,
        decoder_layers=shape.decoder_layers,
        encoder_ffn_dim=4 * shape.hidden_size,
        decoder_ffn_dim=4 * shape.hidden_size,
        encoder_attention_heads=shape.attention_heads,
        decoder_attention_heads=shape.attention_heads,
        num_queries=shape.queries,
        dropout=shape.dropout,
        auxiliary_loss=True,
        **label_maps(labels),
    )
    model = ConditionalDetrForObjectDetection(config)
    _initialise(model)
    backbone = model.model.backbone.model
    if isinstance(backbone, Lite0Backbone):
        backbone.load_pretrained(imagenet_weights())
    return model


def tiny_normalisation(shape: TinyShape) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Per-channel mean and deviation (of values in 0..1) that the backbone of a shape is trained with."""
    return (MEAN, STD) if shape.backbone else (IMAGENET_MEAN, IMAGENET_STD)


def _backbone_config(shape: TinyShape) -> NeckConfig:
    neck: dict[str, Any] = {"neck_size": shape.hidden_size, "out_stride": shape.out_stride}
    if shape.backbone:
        return Lite0Config(**neck)
    return CompactConfig(
        stem_size=shape.stem_size, hidden_sizes=list(shape.backbone_sizes), depths=list(shape.backbone_depths), **neck
    )


@torch.no_grad()
def _initialise(model: ConditionalDetrForObjectDetection) -> None:
    inner = model.model
    for module in (inner.encoder, inner.decoder, model.bbox_predictor, inner.input_projection):
        for parameter in module.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)
    # With unit-variance embeddings the Xavier reference head spreads the points over the photo.
    nn.init.normal_(inner.query_position_embeddings.weight)
    nn.init.normal_(model.class_labels_classifier.weight, std=0.02)
    nn.init.constant_(model.class_labels_classifier.bias, _logit(_CLASS_PRIOR))
    last = model.bbox_predictor.layers[-1]
    nn.init.zeros_(last.weight)
    last.bias.copy_(torch.tensor([0.0, 0.0, _logit(_INITIAL_SIDE), _logit(_INITIAL_SIDE)]))


def _logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def load_pretrained(reference: str, labels: tuple[str, ...]) -> PreTrainedModel:
    """A DETR of transformers by hub name (`@revision` if need be) or path, its class head replaced where the labels differ.

    Every layer of its decoder is given a loss, as the families were trained, although the published configs of some do not ask
    for it; and a replaced class head of a focal-loss family begins at the focal prior.

    Raises:
        SettingsError: nothing usable is at `reference`.
    """
    name, revision = split_revision(reference)
    try:
        config = AutoConfig.from_pretrained(name, revision=revision or "main", **label_maps(labels))
        if config.model_type in _LOSS_PER_LAYER:
            config.auxiliary_loss = True
        model, report = AutoModelForObjectDetection.from_pretrained(
            name, revision=revision or "main", config=config, ignore_mismatched_sizes=True, output_loading_info=True
        )
    except (OSError, ValueError, ImportError) as error:
        if hub_is_away(error):
            raise HubUnavailableError(
                f"the hub does not give {reference!r}: {error}", hint="check the network"
            ) from error
        raise SettingsError(
            f"detection.base={reference!r} is not a detector that transformers can load: {str(error).splitlines()[0]}",
            hint="give the hub name of an object detection model (facebook/detr-resnet-50) or a folder; a hub name needs "
            "network once, and a gated one HF_TOKEN",
        ) from error
    _set_class_prior(model, report, len(labels))
    return model


@torch.no_grad()
def _set_class_prior(model: PreTrainedModel, report: dict[str, Any], n_labels: int) -> None:
    """Biases of replaced class heads at the focal prior (arXiv 1708.02002, section 4.1).

    A softmax head has a class more, "no object", and is left as it is.
    """
    replaced = {str(entry[0] if isinstance(entry, tuple) else entry) for entry in report["mismatched_keys"]}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        if name in replaced and name.endswith("bias") and parameter.shape == (n_labels,):
            parameter.fill_(_logit(_CLASS_PRIOR))


def pretrained_normalisation(reference: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Per-channel mean and deviation (of values in 0..1) that a pretrained detector expects.

    Raises:
        SettingsError: the reference has no image processor.
    """
    name, revision = split_revision(reference)
    try:
        values, _ = ImageProcessingMixin.get_image_processor_dict(name, revision=revision or "main")
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"detection.base={reference!r} does not say how its images are normalised: {str(error).splitlines()[0]}",
            hint="a preprocessor_config.json must lie beside its weights",
        ) from error
    if not values.get("do_normalize", True):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return tuple(values.get("image_mean", IMAGENET_MEAN)), tuple(values.get("image_std", IMAGENET_STD))
