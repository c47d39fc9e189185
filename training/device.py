"""The torch device that a training's `accelerator` setting means, for what runs outside Lightning.

Lightning places the module that it trains; frozen towers before it and evaluation after it are placed by their callers.
Both must read the setting alike, or a model that was trained on a GPU is evaluated on a CPU.
"""

from __future__ import annotations

import os

from training.settings import TrainerSettings


def training_device(settings: TrainerSettings) -> str:
    """Device of this process: a GPU for `auto` and `gpu` where CUDA answers, else `cpu`.

    `mps` gives `cpu`: Lightning trains there, but the models that are loaded beside it are not tested on it. `gpu` on a
    machine without one gives `cpu` too: Lightning refuses to train there, and an evaluation is merely slower.
    """
    import torch

    if settings.accelerator in ("auto", "gpu") and torch.cuda.is_available():
        # Where a launcher (torchrun, Lightning) starts one process per GPU, this is its number.
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return "cpu"
