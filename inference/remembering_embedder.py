"""A text embedder that remembers: a knowledge base has a few hundred sentences, and every question meets some of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inference.recent_vectors import RecentVectors
from inference.text_embedding import TextEmbedder


class RememberingEmbedder:
    """Embeds a text once, as long as it is among the last 4096. Safe to share by threads.

    Many texts at once take a fraction of the time of one after the other: embed them ahead where they are known.
    """

    def __init__(self, embedder: TextEmbedder) -> None:
        self._embedder = embedder
        self._recent = RecentVectors(embedder.dim)

    @property
    def reference(self) -> str:
        return self._embedder.reference

    @property
    def dim(self) -> int:
        return self._embedder.dim

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """float32 (N, dim), each row of length 1, in the order of the texts."""
        return self._recent.encode(texts, lambda places: self._embedder.encode([texts[place] for place in places]))
