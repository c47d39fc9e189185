"""Comparing two artifacts: a champion that this code cannot read any more must not keep every challenger out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aura.artifact import write_json
from aura.errors import ArtifactError, BusyError
from inference.detection.smoke_test import SMOKE_TEST
from tests.training.paired_cases import mean_of
from training.context import Evaluation
from training.evaluate import compare
from training.judged import JudgedCases
from training.settings import TrainerSettings
from training.spec import GateRule, ModelSpec


def spec(evaluate: Any) -> ModelSpec:
    return ModelSpec(
        name="detection", settings=TrainerSettings, data_folders=(), train=lambda *_: {}, evaluate=evaluate, gate=GateRule,
        smoke_test=SMOKE_TEST,
    )  # fmt: skip


def artifact(folder: Path) -> Path:
    write_json(folder / "lineage.json", {"candidate_id": folder.name})
    return folder


def evaluate(folder: Path, _data: Path, _settings: Any, _seed: int) -> Evaluation:
    if folder.name == "old":
        raise ArtifactError("made for other categories", hint="train again")
    if folder.name == "busy":
        raise BusyError("another process converts its base")
    return Evaluation(
        metrics={"ap50": 0.4}, slices={}, n=3, judged=mean_of([0.2, 0.4, 0.6], metric="ap50"),
        controls=lambda: {"nothing": mean_of([0.0, 0.0, 0.0], metric="ap50")},
    )  # fmt: skip


def run(tmp_path: Path, champion: str | None) -> dict[str, Any]:
    return compare(
        spec(evaluate), TrainerSettings(), challenger=artifact(tmp_path / "new"),
        champion=artifact(tmp_path / champion) if champion else None, data=tmp_path, seed=1,
    )  # fmt: skip


def test_both_are_measured_on_the_same_data(tmp_path: Path) -> None:
    comparison = run(tmp_path, "champion")
    assert comparison["challenger"]["metrics"] == comparison["champion"]["metrics"] == {"ap50": 0.4}
    assert (comparison["candidate_id"], comparison["champion_candidate_id"]) == ("new", "champion")
    judging = comparison["judging"]
    assert (judging["unit"], judging["cases"], judging["challenger"]) == ("cases", 3, {"ap50": pytest.approx(0.4)})
    assert judging["champion"]["ap50"]["finding"] == "cannot tell"
    assert judging["controls"]["nothing"]["ap50"]["gain"] == pytest.approx(0.4)


def test_controls_are_computed_once_and_beside_those_of_the_artifact(tmp_path: Path) -> None:
    asked = []

    def controls(*given: Any) -> dict[str, JudgedCases]:
        asked.append(given)
        return {"counting": mean_of([0.1, 0.1, 0.1], metric="ap50")}

    settings = TrainerSettings()
    comparison = compare(
        replace(spec(evaluate), controls=controls), settings, challenger=artifact(tmp_path / "new"),
        champion=artifact(tmp_path / "champion"), data=tmp_path, seed=1,
    )  # fmt: skip
    assert asked == [(tmp_path, settings, 1)]
    assert set(comparison["judging"]["controls"]) == {"counting", "nothing"}
    assert comparison["average"] is None


def test_a_champion_that_cannot_be_evaluated_is_named_and_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    comparison = run(tmp_path, "old")
    assert comparison["champion"] is None
    assert comparison["champion_candidate_id"] == "old", "so that the comparison is not taken for an out-of-date one"
    assert comparison["champion_problem"] == "made for other categories"
    assert "cannot be evaluated" in capsys.readouterr().err


def test_a_champion_that_is_busy_at_the_moment_spares_nobody_the_comparison(tmp_path: Path) -> None:
    with pytest.raises(BusyError):
        run(tmp_path, "busy")


def test_without_a_champion_the_challenger_stands_alone(tmp_path: Path) -> None:
    comparison = run(tmp_path, None)
    assert comparison["champion"] is None
    assert comparison["champion_candidate_id"] is None
