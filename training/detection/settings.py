"""Settings of the detector's training; the defaults suit a network from scratch, drawn pictures and minutes on a CPU."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from aura.settings import ModelReference, Section
from inference.detection.shape import TinyShape
from training.settings import AveragedTrainerSettings


class AugmentSettings(Section):
    """Strengths; 0 switches an augmentation off.

    The defaults are weak: drawn photos vary by themselves, and a training of minutes would only underfit.
    """

    mirror: float = Field(default=0.5, ge=0, le=1)
    """Probability of a mirrored photo."""
    zoom_out: float = Field(default=0.0, ge=0, lt=1)
    """The smallest scale of the photo is 1 - zoom_out."""
    zoom_in: float = Field(default=0.1, ge=0)
    """The largest scale of the photo is 1 + zoom_in."""
    stretch: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of the aspect ratio."""
    brightness: float = Field(default=0.0, ge=0, lt=1)
    """Largest relative change of brightness, of contrast and of saturation."""
    hue_degrees: float = Field(default=0.0, ge=0, le=180)
    """Largest rotation of the hue, in degrees."""
    min_visible: float = Field(default=0.3, gt=0, le=1)
    """Share of a box's area inside the view below which the box is dropped."""


class DetectionSettings(AveragedTrainerSettings):
    """How the detector is made and trained."""

    base: ModelReference = ""
    """Hub name (with `@revision`) or path of a pretrained DETR, for example `facebook/detr-resnet-50`; empty: `tiny`."""
    tiny: TinyShape = TinyShape()
    image_height: int = Field(default=128, ge=32)
    """Height of the canvas in px: a multiple of `tiny.out_stride`, of 32 with `base`."""
    image_width: int = Field(default=96, ge=32)
    """Width of the canvas in px, likewise."""
    max_epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=12, ge=1)
    validate_every_epochs: int = Field(default=2, ge=1)
    batch_size: int = Field(default=8, ge=1)
    """Photos per batch."""
    learning_rate: float = Field(default=3e-4, gt=0)
    augment: AugmentSettings = AugmentSettings()
    cache_images: bool = True
    """Keep decoded training photos in memory."""
    warmup_fraction: float = Field(default=0.08, ge=0, lt=1)
    """Share of all optimizer steps in which the learning rate rises to its peak."""
    backbone_rate: float = Field(default=4.0, gt=0)
    """Factor on the learning rate of the backbone; below 1 when it is pretrained."""
    neck_rate: float = Field(default=4.0, gt=0)
    """Factor on the learning rate of the convolutions that join the maps of the backbone; only where `base` is empty."""
    frozen_stages: int = Field(default=3, ge=0, le=5)
    """Stages of `tiny.backbone` that keep their weights, from the first of five; each halves the map's sides."""
    ema_decay: float = Field(default=0.998, ge=0, lt=1)
    """Decay per step of the exponential moving average of the weights; 0: no averaging."""
    class_weight: float = Field(default=2.0, gt=0)
    """Weight of the classification loss (Conditional DETR, arXiv 2108.06152: 2)."""
    auxiliary_weight: float = Field(default=1.0, ge=0)
    """Weight of the auxiliary head's loss; only where `base` is empty."""
    nms_iou: float | None = Field(default=0.7, gt=0, lt=1)
    """IoU above which the weaker of two boxes of one category is dropped; null: none is."""
    min_precision: float = Field(default=0.5, ge=0, le=1)
    """Share of the boxes shown of a category that must be right in validation; what never is so precise is not shown."""

    @model_validator(mode="after")
    def _every_setting_counts(self) -> Self:
        if self.base:
            self.refuse_ignored(
                ("tiny", "auxiliary_weight", "neck_rate"), f"base {self.base!r} has a network of its own"
            )
        if not self.tiny.backbone:
            self.refuse_ignored(("frozen_stages",), "tiny.backbone is empty, so that nothing is pretrained")
        return self

    @model_validator(mode="after")
    def _whole_cells(self) -> Self:
        side_px = 32 if self.base else self.tiny.out_stride
        if self.image_height % side_px or self.image_width % side_px:
            raise ValueError(
                f"image_height {self.image_height} and image_width {self.image_width} must be multiples of {side_px}"
            )
        return self
