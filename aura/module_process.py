"""A module of ours, run as a process beside this one with the same code."""

from __future__ import annotations

import os
import subprocess
import sys


def run_module(module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Wait for `python -m module arguments`, whose output is captured. It should end with us: `aura.supervision.die_with`."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", module, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
