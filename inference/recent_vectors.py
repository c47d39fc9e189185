"""Vectors of what was encoded last, for encoders that meet the same texts and pictures again and again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]

_KEPT = 4096


class RecentVectors:
    """Encodes a thing once, as long as it is among the last 4096. Safe to share by threads.

    Args:
        dim: length of a vector.
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._vectors: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def encode(self, keys: Sequence[Hashable], encode: Callable[[list[int]], np.ndarray]) -> FloatArray:
        """float32 (N, dim), in the order of the keys.

        Args:
            encode: from places in `keys`, of each new key its first, to their vectors.
        """
        first = {key: place for place, key in reversed(list(enumerate(keys)))}
        with self._lock:
            known = {key: self._vectors[key] for key in first if key in self._vectors}
        new = [key for key in dict.fromkeys(keys) if key not in known]
        if new:
            known |= zip(new, encode([first[key] for key in new]), strict=True)
        with self._lock:
            for key in dict.fromkeys(keys):
                self._vectors[key] = known[key]
                self._vectors.move_to_end(key)
            while len(self._vectors) > _KEPT:
                self._vectors.popitem(last=False)
        return np.array([known[key] for key in keys], dtype=np.float32).reshape(len(keys), self._dim)
