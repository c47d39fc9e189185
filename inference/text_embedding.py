"""Sentence embeddings of titles, questions and documents, with any sentence-transformers model (arXiv 1908.10084).

References: `inference.references`. One instance is shared by threads: fast tokenizers change their padding state while they
work, so encoding happens under a lock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from aura.errors import ArtifactError, HubUnavailableError
from aura.heavy_imports import heavy_imports
from inference.engines.text import TextEngine, TorchTextEngine
from inference.hub import hub_is_away
from inference.references import TEXT_EMBEDDER_REFERENCE, WHEEL, split_revision


class TextEmbedder:
    """Frozen text encoder. Loading takes seconds, so keep one for the life of the process.

    Args:
        reference: which model; see the module's docstring.
        device: torch device, for example `cpu` or `cuda:0`.

    Attributes:
        model: as sentence-transformers loads it.
        engine: what runs it; at first torch. Another one may take its place at any time.

    Raises:
        ArtifactError: the wheel is not installed, or no model can be loaded from the reference.
    """

    def __init__(self, reference: str = TEXT_EMBEDDER_REFERENCE, device: str = "cpu") -> None:
        # Importing the library takes seconds, which a caller that only wants the constants should not pay.
        with heavy_imports():
            from sentence_transformers import SentenceTransformer

        self.reference = reference
        location, revision = split_revision(reference)
        if reference.startswith(WHEEL):
            location = str(_wheel_folder(reference))
        try:
            self.model = SentenceTransformer(location, revision=revision, device=device)
        except (OSError, ValueError) as error:
            kind = HubUnavailableError if hub_is_away(error) else ArtifactError
            raise kind(
                f"no text embedding model at {reference!r}: {error}",
                hint=f"use {TEXT_EMBEDDER_REFERENCE}, a folder with a saved sentence-transformers model, or a hub name (network)",
            ) from error
        self.engine: TextEngine = TorchTextEngine(self.model)
        self._lock = threading.Lock()
        size = self.model.get_embedding_dimension()
        if size is None:
            raise ArtifactError(
                f"{reference!r} does not say how long its embeddings are", hint=f"use {TEXT_EMBEDDER_REFERENCE}"
            )
        self.dim = int(size)

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> np.ndarray:
        """Embeddings of the texts in their order.

        Each distinct text is encoded once; the longest are batched together, so results do not depend on the order.

        Returns:
            float32 `(len(texts), dim)`, every row of L2 norm 1.
        """
        if isinstance(texts, str):
            raise ValueError("encode takes a sequence of texts; put a single text into a list")
        distinct = list(dict.fromkeys(texts))
        if not distinct:
            return np.zeros((0, self.dim), dtype=np.float32)
        with self._lock:
            rows = self.engine(distinct, batch_size)
        row_of = {text: row for row, text in enumerate(distinct)}
        return rows[[row_of[text] for text in texts]]


@lru_cache(maxsize=2)
def text_embedder_for(reference: str) -> TextEmbedder:
    """The embedding model of a reference, loaded once for all its users in this process.

    Raises:
        ArtifactError: as `TextEmbedder`.
    """
    return TextEmbedder(reference)


def _wheel_folder(reference: str) -> Path:
    """Folder with the saved model inside an installed wheel."""
    distribution = reference.removeprefix(WHEEL)
    package = distribution.replace("-", "_")
    found = find_spec(package) if package.isidentifier() else None
    if found is None or found.origin is None:
        raise ArtifactError(
            f"the wheel {distribution!r} is not installed, but {reference!r} names it",
            hint=f"pip install {distribution}, or set another text embedding reference",
        )
    folder = Path(found.origin).parent / "model"
    if not (folder / "modules.json").is_file():
        raise ArtifactError(
            f"the wheel {distribution!r} holds no sentence-transformers model (looked for model/modules.json)",
            hint=f"reinstall it, or use {TEXT_EMBEDDER_REFERENCE}",
        )
    return folder
