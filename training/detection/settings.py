"""Settings of the detector's training; the defaults are the `sample` profile's values."""

from __future__ import annotations

from pydantic import Field

from aura.settings import Section
from inference.detection.shape import TinyShape
from training.settings import TrainerSettings


class AugmentSettings(Section):
    """Strengths; 0 switches a part off. The defaults are weak: what is drawn varies by itself, and minutes only underfit."""

    mirror: float = Field(default=0.5, ge=0, le=1, description="probability")
    zoom_out: float = Field(default=0.0, ge=0, lt=1, description="smallest size of the photo is 1 - zoom_out")
    zoom_in: float = Field(default=0.1, ge=0, description="largest size of the photo is 1 + zoom_in")
    stretch: float = Field(default=0.0, ge=0, lt=1, description="largest change of the aspect ratio")
    brightness: float = Field(default=0.0, ge=0, lt=1, description="largest relative change; contrast and colour alike")
    hue_degrees: float = Field(default=0.0, ge=0, le=180)
    min_visible: float = Field(default=0.3, gt=0, le=1, description="a box less visible than this is dropped")


class DetectionSettings(TrainerSettings):
    """How the detector is made and trained."""

    base: str = Field(
        default="", description="hub name or path of a pretrained DETR, for example facebook/detr-resnet-50"
    )
    tiny: TinyShape = TinyShape()
    image_height: int = Field(default=128, ge=32, multiple_of=32, description="canvas in px")
    image_width: int = Field(default=96, ge=32, multiple_of=32)
    max_epochs: int = Field(default=20, ge=1)
    patience: int = Field(default=12, ge=1)
    validate_every_epochs: int = Field(default=2, ge=1)
    batch_size: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=3e-4, gt=0, description="peak")
    augment: AugmentSettings = AugmentSettings()
    cache_images: bool = Field(default=True, description="keep decoded training photos in memory")
    warmup_fraction: float = Field(default=0.08, ge=0, lt=1, description="share of all steps that the rate rises")
    backbone_rate: float = Field(
        default=4.0,
        gt=0,
        description="learning rate of the backbone relative to the rest; below 1 when it is pretrained",
    )
    warm_start_rate: float = Field(
        default=0.3, gt=0, le=1, description="share of the rate when starting from a champion"
    )
    ema_decay: float = Field(default=0.998, ge=0, lt=1, description="of the averaged weights; 0: no averaging")
    class_weight: float = Field(
        default=2.0, gt=0, description="weight of the classification loss (the original Conditional DETR: 2)"
    )
    auxiliary_weight: float = Field(
        default=1.0, ge=0, description="weight of the dense helper's loss; only where the network is made from scratch"
    )
    nms_iou: float | None = Field(default=0.7, gt=0, lt=1, description="overlap above which the weaker box is dropped")
