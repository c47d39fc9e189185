"""The model that is trained: a frozen base in NF4 blocks (QLoRA, arXiv 2305.14314, section 3) and a LoRA adapter.

bitsandbytes quantises on a CPU as on a GPU; Lightning's plugin for it does not, so it is used through transformers.
"""

from __future__ import annotations

from pathlib import Path

import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel, prepare_model_for_kbit_training
from transformers import BitsAndBytesConfig

from inference.bfloat16 import cpu_has_bfloat16
from inference.chat.artifact import add_lora
from inference.chat.base import load_causal_model
from training.chat.settings import ChatSettings
from training.device import training_device


def build_model(settings: ChatSettings, base_folder: Path) -> PeftModel:
    """Quantised base with a fresh adapter, on the device that the trainer will use.

    Raises:
        ArtifactError: the base is broken or the adapter does not fit it.
    """
    device = training_device(settings)
    dtype = compute_dtype(settings, device)
    if settings.quantization == "nf4":
        quantised = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
        base = load_causal_model(base_folder, dtype=dtype, device_map={"": device}, quantization_config=quantised)
        base = prepare_model_for_kbit_training(
            base,
            use_gradient_checkpointing=settings.gradient_checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False},
        )
        _keep_cpu_layout(base)
    else:
        base = load_causal_model(base_folder, dtype=dtype, device_map={"": device})
        if settings.gradient_checkpointing:
            base.gradient_checkpointing_enable({"use_reentrant": False})
    return add_lora(base, settings.lora, settings.base)


def compute_dtype(settings: ChatSettings, device: str) -> torch.dtype:
    """Type in which the quantised weights are multiplied."""
    if settings.compute_dtype == "auto":
        return torch.float32 if device == "cpu" and not cpu_has_bfloat16() else torch.bfloat16
    return {"float32": torch.float32, "bfloat16": torch.bfloat16}[settings.compute_dtype]


def _keep_cpu_layout(base: torch.nn.Module) -> None:
    """Stop bitsandbytes from repacking weights in evaluation mode.

    On CPUs with AVX512-BF16 the first validation would repack them in place for a kernel without a backward pass, and
    the epochs after it would train with most of the gradient missing, silently.
    """
    for module in base.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False
