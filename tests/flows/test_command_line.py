"""The command line answers at once: settings and help need none of the libraries that take seconds to import."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["flows.profile", "flows.cli.app", "training.models"])
def test_settings_load_without_the_heavy_libraries(module: str) -> None:
    heavy = ("torch", "transformers", "lightning", "mlflow", "lancedb", "prefect", "bentoml", "datasets", "skimage")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
