"""What a process runs, also of one that ends while it is asked."""

from __future__ import annotations

import psutil


def command_of(process: psutil.Process) -> str:
    """Its command line; empty when it has ended, reaped or not."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""
