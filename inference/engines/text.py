"""What runs a sentence encoder: from texts to embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:  # takes seconds to import
    from sentence_transformers import SentenceTransformer


class TextEngine(Protocol):
    """Runs one encoder. One caller at a time."""

    @property
    def name(self) -> str:
        """For logs and settings, for example `openvino`."""
        ...

    def __call__(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        """float32 (N, dim), every row of L2 norm 1, in the order of the texts.

        Args:
            batch_size: texts that are encoded together, at most.
        """
        ...


class TorchTextEngine:
    """PyTorch, as sentence-transformers runs it."""

    name = "torch"

    def __init__(self, model: SentenceTransformer) -> None:
        self._model = model

    def __call__(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        rows = self._model.encode(
            list(texts),
            batch_size=batch_size,
            normalize_embeddings=True,
            show_progress_bar=False,
            convert_to_numpy=True,
        )
        return np.asarray(rows, dtype=np.float32)
