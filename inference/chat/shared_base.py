"""One base in memory for the adapters of several releases, each folded into weights of its own.

An adapter (LoRA, arXiv 2106.09685) changes some matrices of its base: W + (alpha / rank) B A, computed in 32 bits and rounded
once. A model with an adapter has these matrices for itself and shares all other weights with the base, so that another one can be
made while the first answers. The matrices as they were before any adapter are kept in the precision of their file, in main
memory: with 20 of SmolLM2's 30 layers adapted that is 142 MB beside the model's 270 MB in 16 bits, and a second adapter is 142 MB
more for as long as both answer.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from torch.nn import Parameter
from transformers import PreTrainedModel

from aura.errors import ArtifactError
from inference.chat.artifact import add_lora, load_adapter
from inference.chat.base import load_causal_model, load_tokenizer, resolve_base
from inference.chat.settings import LoraSettings


class SharedBase:
    """A base without an adapter, from which models with adapters are made.

    Args:
        reference: see `inference.chat.base`.
        lora: which of its matrices are adapted.
        device, dtype: of the models that are made.

    Raises:
        ArtifactError: the base is not available, or lacks these matrices.
    """

    def __init__(self, reference: str, lora: LoraSettings, device: str, dtype: torch.dtype, cache_dir: Path) -> None:
        self._identity = (reference, lora.shape(), device, dtype)
        folder = resolve_base(reference, cache_dir)
        self.tokenizer = load_tokenizer(folder)
        self._reference, self._lora, self._device, self._dtype = reference, lora, device, dtype
        self._base = load_causal_model(folder, dtype="auto").requires_grad_(False)
        adapted = {id(layer.get_base_layer().weight) for layer in _layers(add_lora(self._sharing(), lora, reference))}
        for weight in self._base.parameters():
            if id(weight) not in adapted:
                weight.data = weight.data.to(device, dtype)
        # Their precision stays: angles of positions are exact, as where a model is loaded in 16 bits.
        for buffer in self._base.buffers():
            buffer.data = buffer.data.to(device)

    def serves(self, reference: str, lora: LoraSettings, device: str, dtype: torch.dtype) -> bool:
        """Whether a model with such an adapter can be made from this base."""
        return self._identity == (reference, lora.shape(), device, dtype)

    def with_adapter(self, folder: Path) -> PreTrainedModel:
        """A model with the adapter of an artifact folded in.

        Raises:
            ArtifactError: the adapter is broken, or not for this base.
        """
        adapted = add_lora(self._sharing(), self._lora, self._reference)
        load_adapter(adapted, folder)
        with torch.no_grad():
            for layer in _layers(adapted):
                matrix = layer.get_base_layer()
                folded = matrix.weight.float() + layer.get_delta_weight("default").float()
                if not torch.isfinite(folded).all():
                    raise ArtifactError(
                        f"the adapter in {folder} has weights that are no numbers", hint="train again, or roll back"
                    )
                matrix.weight = Parameter(folded.to(self._device, self._dtype), requires_grad=False)
        model: PreTrainedModel = adapted.unload()
        return model

    def _sharing(self) -> PreTrainedModel:
        """A model of its own modules, with the base's weights."""
        return copy.deepcopy(self._base, {id(weight): weight for weight in self._base.parameters()})


def _layers(model: PeftModel) -> Iterator[LoraLayer]:
    return (module for module in model.modules() if isinstance(module, LoraLayer))
