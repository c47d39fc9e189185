"""What runs a detector's network: from canvases to raw outputs, normalisation included.

Shapes: B canvases, Q queries, C classes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from inference.detection.preprocess import Preprocess


class RawDetections(NamedTuple):
    """Outputs of a DETR.

    Attributes:
        logits: float (B, Q, C [+ 1]).
        boxes_cxcywh_norm: float (B, Q, 4), fractions of the canvas.
    """

    logits: Tensor
    boxes_cxcywh_norm: Tensor


class DetectionEngine(Protocol):
    """Runs one network. One caller at a time."""

    @property
    def name(self) -> str:
        """For logs and settings, for example `openvino-bf16`."""
        ...

    def __call__(self, canvases: np.ndarray) -> RawDetections:
        """Outputs for canvases uint8 (B, height, width, 3)."""
        ...


class OnCanvases(nn.Module):
    """A network together with the normalisation of its input, so that an export holds both."""

    def __init__(self, model: PreTrainedModel, preprocess: Preprocess) -> None:
        super().__init__()
        self.model = model
        self._preprocess = preprocess

    def forward(self, canvases: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (B, height, width, 3) -> logits (B, Q, C [+ 1]), boxes as fractions of the canvas (B, Q, 4)."""
        output = self.model(pixel_values=self._preprocess.normalise(canvases))
        return output.logits, output.pred_boxes


class TorchEngine:
    """PyTorch, on any device, in the precision of the weights."""

    name = "torch"

    def __init__(self, network: OnCanvases, device: torch.device) -> None:
        self._network = network
        self._device = device

    @torch.inference_mode()
    def __call__(self, canvases: np.ndarray) -> RawDetections:
        return RawDetections(*self._network(torch.from_numpy(canvases).to(self._device)))
