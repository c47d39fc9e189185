"""Size of the detector that is trained from scratch: settings without the network, so that they load in no time."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aura.settings import Section


class TinyShape(Section):
    """Size of the Conditional DETR that is trained from scratch."""

    stem_size: int = Field(default=16, ge=8)
    backbone_sizes: tuple[int, int, int, int] = (24, 48, 96, 160)
    backbone_depths: tuple[int, int, int, int] = (1, 1, 1, 1)
    out_stride: Literal[4, 8, 16, 32] = Field(default=8, description="pixels a token of the transformer")
    hidden_size: int = Field(default=128, ge=16)
    attention_heads: int = Field(default=8, ge=1)
    encoder_layers: int = Field(
        default=0,
        ge=0,
        description="from scratch the backbone's map is read better without one: it needs epochs to be of use",
    )
    decoder_layers: int = Field(default=3, ge=1)
    queries: int = Field(default=24, ge=1, description="most garments found in one photo")
    dropout: float = Field(default=0.0, ge=0, lt=1)
