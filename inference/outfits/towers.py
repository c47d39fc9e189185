"""The frozen half of the item encoder: everything about an item that training never changes, computed once.

Training reads a whole data set into memory and remembers pictures on disk; serving reads what a request holds. Both run this
code, so there is no skew. The trained half (projections, transformer) is in `inference.outfits.network`.

The paper (arXiv 2204.04812, section 3.1) fine-tunes ResNet-18 and a layer on top of a frozen SentenceBERT. Our image half is a
layer on the features of a frozen image encoder: a few thousand garments teach no CNN to see, and one trained on them
beside titles learnt to read the titles alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from aura.taxonomy import CATEGORIES, category_id
from inference.image_encoder import ImageEncoder, load_image_encoder
from inference.outfits.config import NetworkConfig
from inference.outfits.items import Item, category_text, item_text
from inference.recent_vectors import RecentVectors
from inference.remembered_images import RecentImages, RememberedImages
from inference.text_embedding import TextEmbedder


@dataclass(frozen=True)
class ItemTensors:
    """N items as the trained half reads them.

    Attributes:
        image: float32 `(N, F)` of the frozen image encoder; zeros where there is no picture.
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
    """Text embedder and image encoder, as the configuration names them.

    Args:
        config: names the towers.
        device: where the frozen models run; results always lie in CPU memory.
        remember: keep the features of pictures on disk for the next process. Not for the pictures of users.

    Raises:
        ArtifactError: a tower cannot be loaded.
    """

    def __init__(
        self, config: NetworkConfig, device: str = "cpu", text: TextEmbedder | None = None, *, remember: bool = False
    ) -> None:
        self.text = text or TextEmbedder(config.text_tower, device)
        if self.text.reference != config.text_tower:
            raise ValueError(f"the network reads {config.text_tower!r}, the embedder given is {self.text.reference!r}")
        encoder = load_image_encoder(config.image_tower, device)
        self._image: ImageEncoder = RememberedImages(encoder) if remember else RecentImages(encoder)
        # Callers ask about the same garments again, and one title takes a processor five milliseconds.
        self._texts = RecentVectors(self.text.dim)

    @property
    def image_features(self) -> int:
        """Length of image features."""
        return self._image.dim

    def category_texts(self) -> Tensor:
        """float32 `(len(CATEGORIES), T)`: the text that the target token carries per category."""
        return torch.from_numpy(self.text.encode([category_text(category) for category in CATEGORIES]))

    def read(self, items: Sequence[Item]) -> ItemTensors:
        """Tensors of the items, in CPU memory."""
        has_image = [item.image is not None for item in items]
        return ItemTensors(
            image=self._images([item.image for item in items]),
            has_image=torch.tensor(has_image, dtype=torch.bool),
            text=self.read_texts(items),
            category=torch.tensor([category_id(item.category) for item in items], dtype=torch.long),
        )

    def read_texts(self, items: Sequence[Item]) -> Tensor:
        """`ItemTensors.text` of the items."""
        texts = [item_text(item) for item in items]
        vectors = self._texts.encode(texts, lambda places: self.text.encode([texts[place] for place in places]))
        return torch.from_numpy(vectors)

    def _images(self, images: Sequence[Image.Image | None]) -> Tensor:
        present = [(row, image) for row, image in enumerate(images) if image is not None]
        features = torch.zeros(len(images), self._image.dim)
        if present:
            rows = torch.tensor([row for row, _ in present])
            features[rows] = torch.from_numpy(self._image.encode([image for _, image in present]))
        return features
