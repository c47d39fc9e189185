"""Run a module on a model in a process of its own: its memory returns, and a crash stays inside."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from aura.error_file import ERROR_FILE, read_error
from aura.errors import StageInterruptedError


def run_module(
    module: str, arguments: Sequence[str], *, label: str, seconds: float, folder: Path, environment: Mapping[str, str],
    hint: str = "",
) -> None:  # fmt: skip
    """Run a module to its end.

    Args:
        label: what it does, in words.
        seconds: time limit.
        folder: the current folder, into which `-m` looks first for the module.
        hint: what to do where the time is up.

    Raises:
        StageInterruptedError: it was killed, or its time was up.
        AuraError: what it reported, with its class.
    """
    with tempfile.TemporaryDirectory(prefix="aura-process-") as name:
        error_file = Path(name) / "error.json"
        try:
            done = subprocess.run(
                [sys.executable, "-m", module, *arguments], cwd=folder, env={**environment, ERROR_FILE: str(error_file)},
                capture_output=True, text=True, timeout=seconds,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            raise StageInterruptedError(f"{label} did not end within {seconds:.0f} seconds", hint=hint) from error
        reported = read_error(error_file)
    if reported is not None:
        raise reported
    if done.returncode:
        output = (done.stderr.strip() or done.stdout.strip())[-500:]
        raise StageInterruptedError(f"{label} ended with code {done.returncode}: {output}")
