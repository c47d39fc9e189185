"""Architecture of the outfit network: what `config.json` of an artifact holds. Two equal configurations share weights."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from aura.settings import Section
from inference.text_embedding import DEFAULT_REFERENCE

CNN = "cnn"


class NetworkConfig(Section):
    """Sizes of the item encoder and of the set transformer; `paper` is arXiv 2204.04812, section 4."""

    image_tower: str = Field(
        default=CNN,
        description="`cnn`: a small CNN trained from scratch; else hub name or path of a frozen image model",
    )
    image_size_px: int = Field(
        default=64, ge=16, le=512, description="side of the square that the CNN sees (paper: 224)"
    )
    cnn_channels: tuple[int, ...] = Field(
        default=(24, 48, 96, 128), min_length=1, description="one stride-2 stage each"
    )
    text_tower: str = Field(default=DEFAULT_REFERENCE, description="frozen sentence encoder: wheel, hub name or path")
    image_dim: int = Field(default=64, ge=4, description="image half of an item vector (paper: 64)")
    text_dim: int = Field(default=64, ge=4, description="text half of an item vector (paper: 64)")
    layers: int = Field(default=2, ge=1, description="transformer encoder layers (paper: 6)")
    heads: int = Field(default=4, ge=1, description="attention heads (paper: 16)")
    feedforward_dim: int = Field(default=256, ge=4)
    dropout: float = Field(default=0.1, ge=0, lt=1)
    embedding_dim: int = Field(
        default=64, ge=4, description="length of item embeddings and queries (ours: a projection)"
    )

    @property
    def item_dim(self) -> int:
        return self.image_dim + self.text_dim

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.item_dim % self.heads:
            raise ValueError(f"heads {self.heads} must divide image_dim + text_dim = {self.item_dim}")
        return self
