"""Whether this CPU multiplies in bfloat16; one that cannot needs up to 20 times as long for it as for float32."""

from __future__ import annotations

import torch


def cpu_has_bfloat16() -> bool:
    """Whether it has instructions for products of bfloat16 (AVX512-BF16 or AMX)."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
