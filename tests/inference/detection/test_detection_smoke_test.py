"""The detector's smoke test tells the recorded model from another one, and rounding from a difference."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from aura.artifact import write_json
from aura.errors import ArtifactError, WrongAnswerError
from inference import smoke_test
from inference.detection.artifact import LabelRules, save_artifact
from inference.detection.preprocess import Preprocess
from inference.detection.smoke_test import SMOKE_TEST
from tests.inference.detection.conftest import build


@pytest.fixture(params=["compact", "lite0"])
def recorded(request: pytest.FixtureRequest, tmp_path: Path, preprocess: Preprocess, rules: LabelRules) -> Path:
    folder = tmp_path / "recorded"
    folder.mkdir()
    model = build(request.param)
    with torch.no_grad():  # surer of some boxes than an untrained one, whose scores are all alike
        for parameter in model.class_labels_classifier.parameters():
            parameter.normal_(std=0.7, generator=torch.Generator().manual_seed(1))
    save_artifact(folder, model, preprocess, rules)
    smoke_test.record(SMOKE_TEST, folder, "cpu")
    return folder


def test_the_recorded_model_passes_and_finds_something(recorded: Path) -> None:
    smoke_test.check(SMOKE_TEST, recorded, "cpu")
    assert all(smoke_test.recorded_answers(recorded))


def test_weights_of_zero_load_and_are_refused(recorded: Path) -> None:
    weights = recorded / "model.safetensors"
    zeros = {name: torch.zeros_like(tensor) for name, tensor in load_file(weights).items()}
    save_file(zeros, weights, metadata={"format": "pt"})
    with pytest.raises(WrongAnswerError, match="does not answer as it did when it was trained"):
        smoke_test.check(SMOKE_TEST, recorded, "cpu")


def test_an_artifact_without_recorded_answers_is_no_wrong_answer(recorded: Path) -> None:
    (recorded / "smoke_test" / "answers.json").unlink()
    with pytest.raises(ArtifactError, match="recorded answers of the smoke test is missing") as caught:
        smoke_test.check(SMOKE_TEST, recorded, "cpu")
    assert not isinstance(caught.value, WrongAnswerError)


def box(score: float, x1: float = 50.0, category: str = "tops") -> dict[str, Any]:
    return {"category": category, "score": score, "box": [10.0, 10.0, x1, 90.0]}


@pytest.mark.parametrize(
    ("now", "same"),
    [
        ([box(0.6)], True),
        ([box(0.61, x1=50.5)], True),
        ([box(0.6), box(0.06, category="bags")], True),
        ([box(0.7)], False),
        ([box(0.6, x1=80)], False),
        ([box(0.6, category="bottoms")], False),
        ([], False),
        ([box(0.6), box(0.5, category="bags")], False),
    ],
)
def test_what_counts_as_the_same_answer(now: list[dict[str, Any]], same: bool) -> None:
    assert (SMOKE_TEST.differences([[box(0.6)], []], [now, []]) == []) is same


def test_the_command_says_what_is_wrong(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert smoke_test.run(SMOKE_TEST, [str(recorded)]) == 0
    write_json(recorded / "smoke_test" / "answers.json", [[], []])
    assert smoke_test.run(SMOKE_TEST, [str(recorded)]) == 2
    assert "error: the model does not answer" in capsys.readouterr().err
