"""Embeddings of texts that come again and again: a knowledge base has a few hundred sentences, and every question meets some."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

_TEXTS = 4096


class RememberedVectors:
    """The vectors of the last 4096 texts. Safe to share by threads.

    Args:
        embed: texts to float `(texts, dim)`.
    """

    def __init__(self, embed: Callable[[Sequence[str]], np.ndarray]) -> None:
        self._embed = embed
        self._vectors: OrderedDict[str, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def vectors(self, texts: Sequence[str]) -> np.ndarray:
        """float `(texts, dim)`, in the order of the texts; only those that are not remembered are embedded."""
        with self._lock:
            known = {text: self._vectors[text] for text in texts if text in self._vectors}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= zip(new, self._embed(new), strict=True)
        with self._lock:
            for text in dict.fromkeys(texts):
                self._vectors[text] = known[text]
                self._vectors.move_to_end(text)
            while len(self._vectors) > _TEXTS:
                self._vectors.popitem(last=False)
        return np.stack([known[text] for text in texts])
