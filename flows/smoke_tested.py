"""The smoke test of a version as the registry holds it, before anything serves it."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from aura.errors import AuraError, StageError, StageInterruptedError, WrongAnswerError
from aura.registry import ModelVersion, Registry
from flows.model_process import run_module


def smoke_test_version(
    registry: Registry, version: ModelVersion, *, device: str, seconds: float, folder: Path, environment: Mapping[str, str]
) -> None:  # fmt: skip
    """Fetch the registered copy and run its smoke test in a separate process.

    Args:
        device: that of the services: on a CPU a large model may exceed the time limit.
        folder: whose code tests it; not the checkout's in a night, as that may be newer by then.

    Raises:
        DamagedArtifactError: the store's files are not those that were registered.
        WrongAnswerError: it does not answer as it did when it was trained.
        StageError: the test could not run, which says nothing about the model.
    """
    label = f"the smoke test of {version.model} version {version.version}"
    with tempfile.TemporaryDirectory(prefix="aura-check-") as name:
        copy = registry.download(version, Path(name) / version.model)
        try:
            run_module(
                "training.smoke_test", [version.model, str(copy), "--device", device], label=label, seconds=seconds,
                folder=folder, environment=environment, hint="raise night.check_timeout_minutes",
            )  # fmt: skip
        except (WrongAnswerError, StageInterruptedError):
            raise
        except AuraError as error:
            kind = StageInterruptedError if error.transient else StageError
            raise kind(f"{label} could not be carried out: {error.message}", hint=error.hint) from error
