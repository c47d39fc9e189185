"""The machine that a benchmark ran on, for its page."""

from __future__ import annotations

from inference.engines.hardware import processor


def machine() -> str:
    """Name and cores of the processor."""
    found = processor()
    return f"{found.cores} cores of {found.name}"
