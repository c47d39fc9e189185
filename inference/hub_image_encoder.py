"""Image features of a pretrained model: SigLIP (arXiv 2303.15343), CLIP and their like, or a plain vision backbone.

For profiles with a GPU and network; `colour_texture.py` needs neither.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, AutoModel

from aura.errors import ArtifactError, HubUnavailableError
from inference.hub import hub_is_away
from inference.image_encoder import WHITE, square
from inference.references import DESCRIPTOR_REFERENCE, split_revision
from inference.torch_image_encoder import TorchImageEncoder

_HINT = f"use {DESCRIPTOR_REFERENCE}, a folder with a saved model, or a hub name (network)"


class HubImageEncoder(TorchImageEncoder):
    """Frozen image tower of any model with `get_image_features` or a pooler.

    Args:
        reference: hub name (for example `google/siglip-base-patch16-224`), with `@revision` if need be, or a folder with
            a saved model.
        device: torch device, for example `cpu` or `cuda:0`; `auto`: the GPU where there is one.

    Raises:
        ArtifactError: nothing can be loaded from the reference, or the model gives no pooled image features.
    """

    def __init__(self, reference: str, device: str = "auto") -> None:
        super().__init__(device)
        self.reference = reference
        try:
            # One backend by name: the torchvision and PIL resizers differ, and vectors of both must not meet.
            name, revision = split_revision(reference)
            source = {"pretrained_model_name_or_path": name, "revision": revision or "main"}
            self._processor = AutoImageProcessor.from_pretrained(**source, backend="pil")
            model = AutoModel.from_pretrained(**source, dtype=torch.float32)
            self._model = model.to(self._device).eval()
        except (OSError, ValueError) as error:
            kind = HubUnavailableError if hub_is_away(error) else ArtifactError
            raise kind(f"no image encoder at {reference!r}: {error}", hint=_HINT) from error
        self.dim = int(self._encode_batch([Image.new("RGB", (32, 32), WHITE)]).shape[1])

    def _features(self, images: Sequence[Image.Image]) -> Tensor:
        # A square first: many processors crop the centre, which would cut off the top of a coat.
        squares = [square(image, max(image.size)) for image in images]
        inputs = self._processor(images=squares, return_tensors="pt").to(self._device)
        return self._pooled(inputs["pixel_values"])

    def _pooled(self, pixel_values: Tensor) -> Tensor:
        forward = getattr(self._model, "get_image_features", self._model)
        pooled = getattr(forward(pixel_values=pixel_values), "pooler_output", None)
        if pooled is None:
            raise ArtifactError(
                f"{self.reference!r} gives no pooled image features ({type(self._model).__name__})",
                hint="use a CLIP- or SigLIP-like model, or a vision backbone with a pooler",
            )
        return pooled.flatten(1)
