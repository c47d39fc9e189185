"""Smoke test of a model: a few fixed inputs, and the answers that the trained model gave to them.

Both are recorded in `smoke_test/` of the artifact when the training ends. Before a copy of the artifact is used, it answers the
same inputs and the answers are compared: a model that loads and answers, but is not the judged one, is refused.
Each model defines its inputs and its comparison in `inference/<model>/smoke_test.py`; `training.smoke_test`
is the command line.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from aura.artifact import read_json, write_json
from aura.error_file import reporting_errors
from aura.errors import WrongAnswerError
from aura.supervision import die_with_parent

FOLDER = "smoke_test"
_ANSWERS = "answers.json"
_SHOWN_DIFFERENCES = 3

logger = logging.getLogger(__name__)


class SmokeTest(Protocol):
    """What a model's own module provides. Answers are JSON values."""

    def write_inputs(self, folder: Path) -> None:
        """Write the fixed inputs into an existing folder."""

    def answers(self, artifact: Path, device: str) -> Any:
        """Answers of the model in `artifact` to the inputs that lie in its `smoke_test/`.

        Raises:
            ArtifactError: the artifact cannot be loaded.
        """

    def answers_of(self, model: Any, artifact: Path) -> Any:
        """The same of a model that was loaded from `artifact`; of some of the inputs, where each takes long: of the first."""

    def differences(self, recorded: Any, found: Any) -> list[str]:
        """One sentence for each answer found that is not the recorded one; rounding on other hardware is no difference."""


def record(test: SmokeTest, artifact: Path, device: str) -> None:
    """Put inputs and answers into a finished artifact."""
    folder = artifact / FOLDER
    folder.mkdir(exist_ok=True)
    test.write_inputs(folder)
    write_json(folder / _ANSWERS, test.answers(artifact, device))


def recorded_answers(artifact: Path) -> Any:
    """Answers that were recorded when the artifact was trained.

    Raises:
        ArtifactError: the artifact has none.
    """
    return read_json(artifact / FOLDER / _ANSWERS, "the recorded answers of the smoke test")


def check(test: SmokeTest, artifact: Path, device: str) -> None:
    """Compare the model's answers with the recorded ones.

    Raises:
        WrongAnswerError: they differ.
        ArtifactError: the artifact cannot be loaded, or has no recorded answers.
    """
    refuse_differences(test.differences(recorded_answers(artifact), test.answers(artifact, device)))


def check_loaded(test: SmokeTest, model: Any, artifact: Path) -> None:
    """Compare the answers of a loaded model with those that its artifact records.

    Raises:
        WrongAnswerError: they differ.
    """
    if not (artifact / FOLDER).is_dir():
        # Its hash says that nobody took them away.
        logger.warning("%s was trained before answers were recorded; only a new training changes that", artifact)
        return
    refuse_differences(test.differences(recorded_answers(artifact), test.answers_of(model, artifact)))


def refuse_differences(differences: Sequence[str]) -> None:
    """Raise a WrongAnswerError that names the first differences, if there are any."""
    if differences:
        shown = "; ".join(differences[:_SHOWN_DIFFERENCES])
        more = len(differences) - _SHOWN_DIFFERENCES
        raise WrongAnswerError(
            f"the model does not answer as it did when it was trained: {shown}{f'; and {more} more' if more > 0 else ''}",
            hint="this is not the model that was judged, or the code that runs it has changed: train again",
        )


@reporting_errors
def run(test: SmokeTest, arguments: Sequence[str] | None = None) -> int:
    """Command line of a model's smoke test; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--device", default="cpu", help="torch device, for example cpu or cuda:0")
    options = parser.parse_args(arguments)
    die_with_parent()
    check(test, options.artifact, options.device)
    print(f"{options.artifact} answers as it did when it was trained")
    return 0
