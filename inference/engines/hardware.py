"""The processor that models run on, as far as their speed depends on it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_WIDE = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "amx_int8", "asimd", "bf16", "i8mm")
"""Instructions that engines choose their code by, as Linux names them."""


@dataclass(frozen=True)
class Processor:
    """Name, number of cores that this process may use, and instructions for many numbers at once."""

    name: str
    cores: int
    instructions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.name}, {self.cores} cores ({', '.join(self.instructions) or 'instructions unknown'})"


def processor() -> Processor:
    """The processor of this machine; its instructions are known on Linux alone."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8")
    except OSError:
        text = ""
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    values = {name.strip(): value.strip() for name, value in fields.items()}
    present = set(values.get("flags", values.get("Features", "")).split())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    name = values.get("model name") or platform.processor() or platform.machine()
    return Processor(name, cores, tuple(word for word in _WIDE if word in present))
