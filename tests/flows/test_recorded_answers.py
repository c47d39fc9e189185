"""The proof of a Bento: its service finds what the detector found in training, by whichever engine it answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aura.artifact import write_json
from aura.errors import WrongAnswerError
from flows.recorded_answers import check_recorded_answers
from inference.detection.smoke_test import SMOKE_TEST
from inference.engines.exported import ComparedEngines
from inference.smoke_test import FOLDER


def found(category: str, score: float) -> list[dict[str, Any]]:
    return [{"category": category, "score": score, "box": [10.0, 10.0, 50.0, 90.0]}]


TORCH = [found("tops", 0.6), found("bags", 0.6)]
INT8 = [found("tops", 0.7), found("bags", 0.7)]


@pytest.mark.parametrize("answers", [TORCH, INT8, [TORCH[0], INT8[1]], [INT8[0], TORCH[1]]])
def test_a_service_may_change_its_engine_between_two_photos(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, answers: list[list[dict[str, Any]]]
) -> None:
    answer_with(answers, monkeypatch)
    check_recorded_answers("detection", "http://service", artifact)


@pytest.mark.parametrize("answers", [[TORCH[0], found("bags", 0.8)], [[], TORCH[1]], [found("shoes", 0.6), INT8[1]]])
def test_what_no_engine_found_is_a_wrong_answer(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, answers: list[list[dict[str, Any]]]
) -> None:
    answer_with(answers, monkeypatch)
    with pytest.raises(WrongAnswerError, match="does not answer as it did when it was trained"):
        check_recorded_answers("detection", "http://service", artifact)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    (tmp_path / FOLDER).mkdir()
    SMOKE_TEST.write_inputs(tmp_path / FOLDER)
    write_json(tmp_path / FOLDER / "answers.json", TORCH)
    (tmp_path / "openvino").mkdir()
    ComparedEngines(ap50={"openvino-int8": 0.5}, refused=[], found={"openvino-int8": INT8}).write(tmp_path)
    return tmp_path


def answer_with(answers: list[list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that answers one photo after the other."""
    coming = iter(answers)
    monkeypatch.setattr("flows.recorded_answers.post", lambda *_, **__: {"garments": next(coming)})
