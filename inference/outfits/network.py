"""The trained half of OutfitTransformer (arXiv 2204.04812): item encoder, set transformer and its two heads.

Shapes: N items, B outfits, L positions (padded), D item vector, E embedding, T and F frozen features of text and image.

An outfit is a set: there is no positional encoding, so the order of garments cannot matter (section 3.2). Deviations:
one transformer serves both tasks, distinguished by their token, where the paper fine-tunes a copy for retrieval (an artifact
then answers both, and on small data the tasks help each other); the target token carries the category's text, never the
target's title, as that would leak the answer; items and queries are projected and normalised, so that the L2 distance of
section 3.3 ranks like the cosine similarity of a vector index; layers are pre-norm, which trains without a warm-up; a
garment's category is also added as a learnt vector, so that what an outfit is made of need not be read out of sentences.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from aura.taxonomy import CATEGORIES
from inference.outfits.config import NetworkConfig
from inference.outfits.towers import ItemTensors

_LEAST_DEVIATION = 1e-6
_MOST_DEVIATIONS = 6.0
"""Features are clipped there: a picture unlike those of the training must not drown the rest of its outfit."""


class OutfitNetwork(nn.Module):
    """Compatibility logits of outfits and target embeddings of partial outfits.

    Args:
        config: sizes.
        category_texts: float32 `(len(CATEGORIES), T)` from `FrozenTowers`; kept with the weights.
        image_features: F, length of the frozen image features.
    """

    image_mean: Tensor
    image_deviation: Tensor

    def __init__(self, config: NetworkConfig, category_texts: Tensor, image_features: int) -> None:
        super().__init__()
        if category_texts.shape[0] != len(CATEGORIES):
            raise ValueError(f"{category_texts.shape[0]} category texts for {len(CATEGORIES)} categories")
        self.config = config
        dim = config.item_dim
        # What all pictures have in common is far larger than what tells them apart.
        self.register_buffer("image_mean", torch.zeros(image_features))
        self.register_buffer("image_deviation", torch.ones(image_features))
        self.image = _projection(image_features, config.image_dim, config.feature_dropout)
        self.text = _projection(category_texts.shape[1], config.text_dim, config.feature_dropout)
        self.category = nn.Embedding(len(CATEGORIES), dim)
        self.no_image = nn.Parameter(torch.randn(config.image_dim))
        self.outfit_token = nn.Parameter(torch.randn(dim))
        self.register_buffer("category_texts", category_texts.clone())
        layer = nn.TransformerEncoderLayer(
            dim, config.heads, config.feedforward_dim, config.dropout, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, config.layers, nn.LayerNorm(dim), enable_nested_tensor=False)
        self.compatibility = nn.Sequential(
            nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(dim, 1)
        )
        self.target = nn.Linear(dim, config.embedding_dim)
        self.item = nn.Linear(dim, config.embedding_dim)

    def standardise(self, image_NF: Tensor) -> None:
        """Take mean and deviation of image features from garments that are to be trained on."""
        deviation, mean = torch.std_mean(image_NF, dim=0, correction=0)
        self.image_mean.copy_(mean)
        # A feature that never changes says nothing, and must not become large for a picture unlike all of these.
        self.image_deviation.copy_(torch.where(deviation > _LEAST_DEVIATION, deviation, 1.0))

    def encode_items(self, items: ItemTensors) -> Tensor:
        """Item vectors `(N, D)`: image half, text half (section 3.1), plus the vector of the category."""
        standardised = (items.image - self.image_mean) / self.image_deviation
        seen = self.image(standardised.clamp(-_MOST_DEVIATIONS, _MOST_DEVIATIONS))
        seen = torch.where(items.has_image[:, None], seen, self.no_image.to(seen.dtype))
        return torch.cat([seen, self.text(items.text)], dim=1) + self.category(items.category)

    def compatibility_logits(self, items_ND: Tensor, members_BL: Tensor, present_BL: Tensor) -> Tensor:
        """Logits `(B,)`, not probabilities: high when the garments go together.

        Args:
            items_ND: item vectors.
            members_BL: int64 rows of `items_ND`; any valid row where padded.
            present_BL: bool, True for a garment, False for padding.
        """
        token = self.outfit_token.expand(len(members_BL), -1)
        return self.compatibility(self._attend(token, items_ND, members_BL, present_BL)).squeeze(1)

    def queries(self, items_ND: Tensor, members_BL: Tensor, present_BL: Tensor, target_B: Tensor) -> Tensor:
        """Embeddings `(B, E)` of norm 1 of the garment that is missing; `target_B` int64: its category's index."""
        text = self.text(self.category_texts[target_B])
        unseen = self.no_image.to(text.dtype).expand(len(text), -1)
        token = torch.cat([unseen, text], dim=1) + self.category(target_B)
        return functional.normalize(self.target(self._attend(token, items_ND, members_BL, present_BL)), dim=1)

    def item_embeddings(self, items_ND: Tensor) -> Tensor:
        """Embeddings `(N, E)` of norm 1, to be compared with `queries`."""
        return functional.normalize(self.item(items_ND), dim=1)

    def _attend(self, token_BD: Tensor, items_ND: Tensor, members_BL: Tensor, present_BL: Tensor) -> Tensor:
        tokens = torch.cat([token_BD[:, None].to(items_ND.dtype), items_ND[members_BL]], dim=1)
        padding = functional.pad(~present_BL, (1, 0), value=False)
        return self.encoder(tokens, src_key_padding_mask=padding)[:, 0]


def _projection(features: int, dim: int, dropout: float) -> nn.Sequential:
    # Frozen features of norm 1 give tiny sums; without the norm one half would dominate the other.
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(features, dim), nn.LayerNorm(dim))
