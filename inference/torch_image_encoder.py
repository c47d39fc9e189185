"""What image encoders that run a network share: the device, batches, and rows of norm 1."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from inference.image_encoder import FloatArray

_BATCH_IMAGES = 32


class TorchImageEncoder(ABC):
    """See `inference.image_encoder.ImageEncoder`.

    Args:
        device: torch device, for example `cpu` or `cuda:0`; `auto`: the GPU where there is one.
    """

    reference: str
    dim: int

    def __init__(self, device: str = "auto") -> None:
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self._device = torch.device(device)

    def encode(self, images: Sequence[Image.Image]) -> FloatArray:
        """Vectors of images of any size and mode: float32 (N, dim), each row of L2 norm 1."""
        if not images:
            return np.zeros((0, self.dim), dtype=np.float32)
        rows = [self._encode_batch(images[i : i + _BATCH_IMAGES]) for i in range(0, len(images), _BATCH_IMAGES)]
        return np.concatenate(rows)

    @abstractmethod
    def _features(self, images: Sequence[Image.Image]) -> Tensor:
        """Features (N, dim) of a batch, of any norm."""

    @torch.inference_mode()
    def _encode_batch(self, images: Sequence[Image.Image]) -> FloatArray:
        rows: FloatArray = torch.nn.functional.normalize(self._features(images).float(), dim=1).cpu().numpy()
        return rows
