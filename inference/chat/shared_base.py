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
        self._device, self._dtype = device, dtype
        self._base = load_causal_model(folder, dtype="auto").requires_grad_(False)
        # One for all adapters: to make its layers takes as long as to fold an adapter in.
        self._adapted = add_lora(self._sharing(), lora, reference)
        adapted = {id(layer.get_base_layer().weight) for _, layer in self._layers()}
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
        """A model with the adapter of an artifact folded in. For one thread at a time.

        Raises:
            ArtifactError: the adapter is broken, or not for this base.
        """
        load_adapter(self._adapted, folder)
        model = self._sharing()
        with torch.no_grad():
            for name, layer in self._layers():
                folded = layer.get_delta_weight("default").float()
                folded += layer.get_base_layer().weight
                # In a sum, one value that is no number makes all none; to look at each takes as long as to fold.
                if not torch.isfinite(folded.sum()):
                    raise ArtifactError(
                        f"the adapter in {folder} has weights that are no numbers", hint="train again, or roll back"
                    )
                weight = Parameter(folded.to(self._device, self._dtype), requires_grad=False)
                model.get_submodule(name).weight = weight
        return model

    def _sharing(self) -> PreTrainedModel:
        """A model of its own modules, with the base's weights."""
        return copy.deepcopy(self._base, {id(weight): weight for weight in self._base.parameters()})

    def _layers(self) -> Iterator[tuple[str, LoraLayer]]:
        """The adapted layers, with their names in the base."""
        for name, module in self._adapted.get_base_model().named_modules():
            if isinstance(module, LoraLayer):
                yield name, module
