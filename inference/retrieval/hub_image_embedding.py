"""Image embeddings from a vision-language model of the hub: SigLIP (arXiv 2303.15343), SigLIP 2 or CLIP.

For profiles with a GPU and network. The descriptor of `image_embedding.py` is the default because it needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

from aura.errors import ArtifactError
from inference.retrieval.image_embedding import FloatArray
from inference.retrieval.settings import DESCRIPTOR_REFERENCE

_BATCH_IMAGES = 32


class HubImageEmbedder:
    """Frozen image tower of any model with `get_image_features`.

    Args:
        reference: hub name (for example `google/siglip-base-patch16-224`) or a folder with a saved model.
        device: torch device, for example `cpu` or `cuda:0`; `auto`: the GPU where there is one.

    Raises:
        ArtifactError: nothing can be loaded from the reference, or the model embeds no images.
    """

    def __init__(self, reference: str, device: str = "auto") -> None:
        self.reference = reference
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        hint = f"use {DESCRIPTOR_REFERENCE}, a folder with a saved model, or a hub name (network)"
        try:
            # One backend by name: the torchvision and PIL resizers differ, and vectors of both must not meet.
            self._processor = AutoImageProcessor.from_pretrained(reference, backend="pil")
            self._model = AutoModel.from_pretrained(reference).to(device).eval()
        except (OSError, ValueError) as error:
            raise ArtifactError(f"no image embedding model at {reference!r}: {error}", hint=hint) from error
        if not hasattr(self._model, "get_image_features"):
            raise ArtifactError(f"{reference!r} is a {type(self._model).__name__}, which embeds no images", hint=hint)
        self._device = device
        self.dim = int(self.encode([Image.new("RGB", (32, 32))]).shape[1])

    def encode(self, images: Sequence[Image.Image]) -> FloatArray:
        """Embeddings of pictures of any size and mode: float32 (N, dim), each row of length 1."""
        if not images:
            return np.zeros((0, self.dim), dtype=np.float32)
        rows = [self._encode_batch(images[i : i + _BATCH_IMAGES]) for i in range(0, len(images), _BATCH_IMAGES)]
        return np.concatenate(rows)

    @torch.inference_mode()
    def _encode_batch(self, images: Sequence[Image.Image]) -> FloatArray:
        inputs = self._processor(images=[image.convert("RGB") for image in images], return_tensors="pt")
        features = self._model.get_image_features(**inputs.to(self._device)).pooler_output
        rows: FloatArray = torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()
        return rows
