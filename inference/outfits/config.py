"""Architecture of the outfit network: what `config.json` of an artifact holds. Two equal configurations share weights."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from aura.settings import ModelReference, Section
from inference.references import IMAGE_ENCODER_REFERENCE, TEXT_EMBEDDER_REFERENCE


class NetworkConfig(Section):
    """Sizes of the item encoder and of the set transformer; `paper` is arXiv 2204.04812, section 4."""

    image_tower: ModelReference = IMAGE_ENCODER_REFERENCE
    """Reference of the frozen image encoder: see `inference.image_encoder` (paper: ResNet-18, fine-tuned)."""
    text_tower: ModelReference = TEXT_EMBEDDER_REFERENCE
    """Reference of the frozen sentence encoder: a wheel, a hub name or a path; see `inference.text_embedding`."""
    image_dim: int = Field(default=64, ge=4)
    """Length of the image half of an item vector (paper: 64)."""
    text_dim: int = Field(default=64, ge=4)
    """Length of the text half of an item vector (paper: 64)."""
    layers: int = Field(default=2, ge=1)
    """Layers of the transformer's encoder (paper: 6)."""
    heads: int = Field(default=4, ge=1)
    """Heads of each attention layer (paper: 16)."""
    feedforward_dim: int = Field(default=256, ge=4)
    """Width of the feed-forward layers."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    """Dropout probability in the transformer and the compatibility head."""
    feature_dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout probability of single features of the two frozen encoders."""
    embedding_dim: int = Field(default=64, ge=4)
    """Length of item embeddings and queries (ours: a projection of item vectors)."""

    @property
    def item_dim(self) -> int:
        return self.image_dim + self.text_dim

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.item_dim % self.heads:
            raise ValueError(f"heads {self.heads} must divide image_dim + text_dim = {self.item_dim}")
        return self
