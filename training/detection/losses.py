"""transformers' own matcher and detection loss, kept in fp32 and checked.

Under mixed precision the Hungarian matcher meets values that half precision cannot hold and fails with "matrix contains
invalid numeric entries"; a loss that is not finite would otherwise go unnoticed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from transformers import PreTrainedModel

CLASS_TERMS = ("loss_ce", "loss_vfl", "loss_mal")
"""Classification terms of the losses: focal or cross entropy (DETR, Conditional DETR), varifocal (RT-DETR, D-FINE) and
matchability-aware (DEIMv2)."""


def use_checked_loss(model: PreTrainedModel, class_weight: float) -> None:
    """Make `model(pixel_values, labels=...)` compute its loss in fp32, with its classification terms weighted.

    Args:
        class_weight: 1 is transformers' own total. The original Conditional DETR weighs classification by 2.
    """
    model.loss_function = _CheckedLoss(model.loss_function, class_weight)


class _CheckedLoss:
    """Same call as a loss function of transformers: returns (loss, terms, auxiliary outputs)."""

    def __init__(self, loss_function: Callable[..., Any], class_weight: float) -> None:
        self._loss_function, self._class_weight = loss_function, class_weight

    def __call__(self, *arguments: Any, **named: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor], Any]:
        """Raises FloatingPointError: the loss is not finite; the message holds its terms."""
        with torch.autocast(device_type="cuda", enabled=False), torch.autocast(device_type="cpu", enabled=False):
            loss, terms, auxiliary = self._loss_function(
                *(_to_fp32(argument) for argument in arguments),
                **{name: _to_fp32(argument) for name, argument in named.items()},
            )
            if self._class_weight != 1:
                classification = [value for name, value in terms.items() if name.startswith(CLASS_TERMS)]
                if not classification:
                    raise ValueError(
                        f"class_weight is {self._class_weight:g}, but no term of the loss is known as a classification: "
                        f"{', '.join(terms)}; set detection.class_weight=1"
                    )
                loss = loss + (self._class_weight - 1) * torch.stack(classification).sum()
        if not math.isfinite(float(loss.detach())):
            shown = {name: float(value.detach()) for name, value in terms.items()}
            raise FloatingPointError(f"the detection loss is {float(loss.detach())}; its terms: {shown}")
        return loss, terms, auxiliary


def _to_fp32(value: Any) -> Any:
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value.float()
    if isinstance(value, list | tuple):
        return type(value)(_to_fp32(item) for item in value)
    if isinstance(value, dict):
        return {name: _to_fp32(item) for name, item in value.items()}
    return value
