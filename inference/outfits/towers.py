"""The frozen half of the item encoder: everything about an item that training never changes, computed once.

Training caches the result for a whole data set in memory; serving computes it per request. Both run this code,
so there is no skew. The trained half (CNN, projections, transformer) is in `inference.outfits.network`.

The paper (arXiv 2204.04812, section 3.1) fine-tunes ResNet-18 and a layer on top of a frozen SentenceBERT; our image
half is either a small CNN from scratch on the pixels given here, or a layer on the features, given here, of a frozen
image model such as SigLIP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aura.taxonomy import CATEGORIES, category_id
from inference.image_encoder import load_image_encoder
from inference.outfits.config import CNN, NetworkConfig
from inference.outfits.items import Item, category_text, item_text, pixels
from inference.text_embedding import TextEmbedder


@dataclass(frozen=True)
class ItemTensors:
    """N items as the trained half reads them.

    Attributes:
        image: uint8 `(N, 3, S, S)` for the CNN, float32 `(N, F)` for a frozen image tower; zeros where there is none.
        has_image: bool `(N,)`.
        text: float32 `(N, T)`, rows of norm 1: the item's category and title, or the category alone when it has none.
        category: int64 `(N,)`, index in `CATEGORIES`.
    """

    image: Tensor
    has_image: Tensor
    text: Tensor
    category: Tensor

    def __len__(self) -> int:
        return len(self.category)

    def take(self, rows: Tensor) -> ItemTensors:
        return ItemTensors(self.image[rows], self.has_image[rows], self.text[rows], self.category[rows])

    def to(self, device: torch.device | str) -> ItemTensors:
        moved = (tensor.to(device) for tensor in (self.image, self.has_image, self.text, self.category))
        return ItemTensors(*moved)

    @staticmethod
    def concatenate(batches: Sequence[ItemTensors]) -> ItemTensors:
        return ItemTensors(
            torch.cat([batch.image for batch in batches]),
            torch.cat([batch.has_image for batch in batches]),
            torch.cat([batch.text for batch in batches]),
            torch.cat([batch.category for batch in batches]),
        )


class FrozenTowers:
    """Text embedder and, if the configuration names one, a frozen image encoder.

    Args:
        config: names the towers.
        device: where the frozen models run; results always lie in CPU memory.

    Raises:
        ArtifactError: a tower cannot be loaded.
    """

    def __init__(self, config: NetworkConfig, device: str = "cpu", text: TextEmbedder | None = None) -> None:
        self._config = config
        self.text = text or TextEmbedder(config.text_tower, device)
        if self.text.reference != config.text_tower:
            raise ValueError(f"the network reads {config.text_tower!r}, the embedder given is {self.text.reference!r}")
        self._image = None if config.image_tower == CNN else load_image_encoder(config.image_tower, device)

    @property
    def image_features(self) -> int | None:
        """Length of frozen image features; None when the CNN reads pixels."""
        return None if self._image is None else self._image.dim

    def category_texts(self) -> Tensor:
        """float32 `(len(CATEGORIES), T)`: the text that the target token carries per category."""
        return torch.from_numpy(self.text.encode([category_text(category) for category in CATEGORIES]))

    def read(self, items: Sequence[Item]) -> ItemTensors:
        """Tensors of the items, in CPU memory."""
        has_image = [item.image is not None for item in items]
        return ItemTensors(
            image=self._images([item.image for item in items]),
            has_image=torch.tensor(has_image, dtype=torch.bool),
            text=torch.from_numpy(self.text.encode([item_text(item) for item in items])),
            category=torch.tensor([category_id(item.category) for item in items], dtype=torch.long),
        )

    def _images(self, images: Sequence[Image.Image | None]) -> Tensor:
        present = [(row, image) for row, image in enumerate(images) if image is not None]
        if self._image is None:
            size = self._config.image_size_px
            stack = np.zeros((len(images), 3, size, size), dtype=np.uint8)
            for row, image in present:
                stack[row] = pixels(image, size)
            return torch.from_numpy(stack)
        features = torch.zeros(len(images), self._image.dim)
        if present:
            rows = torch.tensor([row for row, _ in present])
            features[rows] = torch.from_numpy(self._image.encode([image for _, image in present]))
        return features
