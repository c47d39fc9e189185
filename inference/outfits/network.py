"""The trained half of OutfitTransformer (arXiv 2204.04812): item encoder, set transformer and its two heads.

Shapes: N items, B outfits, L positions (padded), D item vector, E embedding, S image side, T and F frozen features.

An outfit is a set: there is no positional encoding, so the order of garments cannot matter (section 3.2). Deviations:
one transformer serves both tasks, distinguished by their token, where the paper fine-tunes a copy for retrieval (an artifact
then answers both, and on small data the tasks help each other); the target token carries the category's text, never the
target's title, as that would leak the answer; items and queries are projected and normalised, so that the L2 distance of
section 3.3 ranks like the cosine similarity of a vector index; layers are pre-norm, which trains without a warm-up.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from aura.taxonomy import CATEGORIES
from inference.outfits.config import NetworkConfig
from inference.outfits.towers import ItemTensors


class ImageCnn(nn.Module):
    """Small CNN from scratch: `(N, 3, S, S)` in [0, 255], uint8 or (augmented, in training) float32 -> `(N, dim)`.

    Batch normalisation and not group normalisation: the latter removes a picture's absolute colour, the main signal here.
    """

    def __init__(self, channels: tuple[int, ...], dim: int) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        width = 3
        for out in channels:
            stages += [nn.Conv2d(width, out, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
            width = out
        self.stages = nn.Sequential(*stages)
        # The maximum shows which patterns are present, the mean how much of each colour.
        self.project = nn.Linear(2 * width, dim)

    def forward(self, image: Tensor) -> Tensor:
        grid = self.stages(image.float() / 127.5 - 1)
        return self.project(torch.cat([grid.mean(dim=(2, 3)), grid.amax(dim=(2, 3))], dim=1))


class OutfitNetwork(nn.Module):
    """Compatibility logits of outfits and target embeddings of partial outfits.

    Args:
        config: sizes.
        category_texts: float32 `(len(CATEGORIES), T)` from `FrozenTowers`; kept with the weights.
        image_features: length of frozen image features; None for the CNN.
    """

    def __init__(self, config: NetworkConfig, category_texts: Tensor, image_features: int | None = None) -> None:
        super().__init__()
        if category_texts.shape[0] != len(CATEGORIES):
            raise ValueError(f"{category_texts.shape[0]} category texts for {len(CATEGORIES)} categories")
        self.config = config
        dim = config.item_dim
        tower: nn.Module = (
            ImageCnn(config.cnn_channels, config.image_dim)
            if image_features is None
            else nn.Linear(image_features, config.image_dim)
        )
        # Frozen features of norm 1 are tiny next to what a CNN gives; without the norm the text half would dominate.
        self.image = nn.Sequential(tower, nn.LayerNorm(config.image_dim))
        self.text = nn.Sequential(nn.Linear(category_texts.shape[1], config.text_dim), nn.LayerNorm(config.text_dim))
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

    def encode_items(self, items: ItemTensors) -> Tensor:
        """Item vectors `(N, D)`: image half, text half (section 3.1)."""
        seen = self.image(items.image)
        seen = torch.where(items.has_image[:, None], seen, self.no_image.to(seen.dtype))
        return torch.cat([seen, self.text(items.text)], dim=1)

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
        token = torch.cat([self.no_image.to(text.dtype).expand(len(text), -1), text], dim=1)
        return functional.normalize(self.target(self._attend(token, items_ND, members_BL, present_BL)), dim=1)

    def item_embeddings(self, items_ND: Tensor) -> Tensor:
        """Embeddings `(N, E)` of norm 1, to be compared with `queries`."""
        return functional.normalize(self.item(items_ND), dim=1)

    def _attend(self, token_BD: Tensor, items_ND: Tensor, members_BL: Tensor, present_BL: Tensor) -> Tensor:
        tokens = torch.cat([token_BD[:, None].to(items_ND.dtype), items_ND[members_BL]], dim=1)
        padding = functional.pad(~present_BL, (1, 0), value=False)
        return self.encoder(tokens, src_key_padding_mask=padding)[:, 0]
