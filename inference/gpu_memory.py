"""Who holds how much of one GPU's memory: arithmetic from parameter counts, before anything is loaded.

Weights: parameters times bits. In 4 bits (NF4, arXiv 2305.14314, with a 32-bit scale per 64 weights) a weight takes 4.5 bits, and
embeddings and the head stay in 16. Keys and values of a stream: 2 x layers x heads of keys x size of a head x 2 bytes per token.
While a release is loaded, the detector and the outfit model are there twice, and of the chat its adapted matrices. What cannot be
counted (libraries, activations) are estimates that an operator replaces with what `aura_gpu_memory_bytes` shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from aura.errors import SettingsError
from aura.settings import Section

GB = 10**9
_NF4_BITS = 4.5
_BITS = 16


class GpuMemorySettings(Section):
    """One GPU and what lies on it. Counts of parameters are of the models of the profile `production`."""

    card_gb: float = Field(default=24.0, gt=0)
    """Memory of the GPU in units of 10^9 bytes."""
    reserve_share: float = Field(default=0.05, ge=0, lt=1)
    """Share of the memory that stays free: an allocator does not use the last bytes."""
    runner_gb: float = Field(default=0.6, ge=0)
    """CUDA's context and libraries per process, an estimate."""
    runners: int = Field(default=3, ge=0)
    """Processes that use the GPU: the runner of each model."""
    detector_parameters: float = Field(default=10.2e6, ge=0)
    """In 32 bits. D-FINE-S."""
    detector_activations_gb: float = Field(default=1.0, ge=0)
    """Of one batch of photos, an estimate."""
    outfits_parameters: float = Field(default=205e6, ge=0)
    """In 32 bits, with the frozen encoders: SigLIP base's 203 million are most of it."""
    outfits_activations_gb: float = Field(default=0.5, ge=0)
    """Of one batch of garments, an estimate."""
    chat_parameters: float = Field(default=8.03e9, ge=0)
    """All weights of the chat's base: Llama 3.1 8B."""
    chat_embedding_parameters: float = Field(default=1.05e9, ge=0)
    """Those of its embeddings and head: twice 128,256 x 4096."""
    chat_adapted_parameters: float = Field(default=6.98e9, ge=0)
    """Those of the matrices that an adapter changes."""
    chat_bits: Literal[4, 16] = 16
    """16: the adapter is folded in, as Aura's own runner does. 4: the base of a server that puts the adapter beside it
    (`serving.openai_model`)."""
    chat_layers: int = Field(default=32, ge=1)
    chat_key_heads: int = Field(default=8, ge=1)
    chat_head_size: int = Field(default=128, ge=1)
    chat_streams: int = Field(default=8, ge=0)
    """Answers at a time."""
    chat_tokens: int = Field(default=4096, ge=1)
    """Tokens of a prompt with its answer, at most."""
    chat_activations_gb: float = Field(default=1.0, ge=0)
    """Of one pass, an estimate."""
    night_gb: float = Field(default=0.0, ge=0)
    """What a night's training may take while services answer; 0: none trains on this GPU."""


@dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Bytes per holder, in the order of a table.

    Attributes:
        available: bytes that may be held.
    """

    holders: dict[str, float]
    available: float

    @property
    def total(self) -> float:
        return sum(self.holders.values())

    def check(self) -> None:
        """Refuse a plan that does not fit.

        Raises:
            SettingsError: names what holds most.
        """
        if self.total <= self.available:
            return
        largest = sorted(self.holders.items(), key=lambda holder: -holder[1])[:3]
        named = ", ".join(f"{name} {held / GB:.1f}" for name, held in largest)
        raise SettingsError(
            f"the GPU's plan takes {self.total / GB:.1f} GB, and {self.available / GB:.1f} GB are available; most hold: {named}",
            hint="plan for fewer gpu_memory.chat_streams or chat_tokens, let another server answer with a base in 4 bits "
            "(serving.openai_model), train at another time (night_gb), or take a larger card (card_gb)",
        )


def memory_plan(settings: GpuMemorySettings) -> MemoryPlan:
    """Bytes that each part holds at most, services that switch and a night included."""
    detector, outfits = settings.detector_parameters * 4, settings.outfits_parameters * 4
    folded = settings.chat_bits == _BITS
    inner = settings.chat_parameters - settings.chat_embedding_parameters
    base_bits = inner * (_BITS if folded else _NF4_BITS) + settings.chat_embedding_parameters * _BITS
    per_token = 2 * settings.chat_layers * settings.chat_key_heads * settings.chat_head_size * 2
    holders = {
        "runners' libraries": settings.runners * settings.runner_gb * GB,
        "detector": detector + settings.detector_activations_gb * GB,
        "outfit model": outfits + settings.outfits_activations_gb * GB,
        "chat base": base_bits / 8 + settings.chat_activations_gb * GB,
        "chat keys and values": float(per_token * settings.chat_tokens * settings.chat_streams),
        # They may follow a release at one moment. Beside a base in 4 bits an adapter takes a hundredth of it.
        "next release": detector + outfits + (settings.chat_adapted_parameters * 2 if folded else 0.0),
        "night": settings.night_gb * GB,
    }
    return MemoryPlan(holders=holders, available=settings.card_gb * GB * (1 - settings.reserve_share))
