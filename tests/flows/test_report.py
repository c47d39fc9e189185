"""The section of a night's report that says what the verdicts rest on."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flows.drift import Drift
from flows.feedback import FeedbackCounts
from flows.promotion import Outcome
from flows.report import NightReport, to_json, to_markdown
from flows.saved_outfits import SavedCounts
from tests.training.paired_cases import mean_of
from training.evaluate import judging

AVERAGE = {"alpha": 0.25, "metric": "ap50", "validation": {"0.25": 0.44, "0.5": 0.43, "1": 0.4}}


def night(average: dict[str, Any] | None = None, notices: dict[str, str] | None = None) -> NightReport:
    new, old = mean_of([0.5] * 20, metric="ap50", unit="photos"), mean_of([0.4] * 20, metric="ap50", unit="photos")
    outcome = Outcome(
        model="detection", metric="ap50", champion=0.4, challenger=0.5, verdict="promoted", reasons=["better"], version="2",
        seconds=1.0, finding="better", judging=judging(new, old, {"typical boxes": old}, seed=7), average=average,
    )  # fmt: skip
    return NightReport(
        profile="sample", started=datetime(2026, 1, 1, tzinfo=UTC), seconds=1.0, flow_run_id="", outcomes=[outcome],
        stages=[], index={}, bentos={}, snapshot="", git_commit="", links={},
        notices=notices or {},
    )  # fmt: skip


def report(average: dict[str, Any] | None, notices: dict[str, str] | None = None) -> list[str]:
    return to_markdown(night(average, notices), Path()).splitlines()


def test_each_difference_has_its_interval_and_its_cases() -> None:
    lines = report(None)
    at = lines.index("## Judging")
    assert "| detection | ap50 | champion | +0.100 (+0.100 to +0.100) | better | 0.000 | 20 photos |" in lines[at:]
    assert any(line.startswith("| detection | ap50 | typical boxes | +0.100") for line in lines[at:])
    assert not any("weights" in line for line in lines)


def test_the_chosen_average_stands_with_what_was_tried() -> None:
    assert (
        "- detection, weights: 0.25 challenger, 0.75 champion; validation ap50 per share of the challenger: "
        "0.25: 0.440, 0.5: 0.430, 1: 0.400"
    ) in report(AVERAGE)


def test_what_must_be_known_of_a_model_comes_before_its_figures() -> None:
    lines = report(None, {"detection": "seen drawn pictures only"})
    at = lines.index("## Notice")
    assert lines[at + 2] == "- detection: seen drawn pictures only"
    assert at < lines.index("## Models")
    assert "## Notice" not in report(None)


def test_what_people_said_and_what_has_moved_stand_in_the_report() -> None:
    counts = FeedbackCounts(new=2, up=12, down=3, corrected=5, photos=2, saved=4, rejected=1)
    moved = Drift(
        service="visual_analysis", endpoint="analyze", figure="brightness", now=300, before=900, index=0.31, finding="moved far",
        values="median 0.5, now 0.3",
    )  # fmt: skip
    text = to_markdown(replace(night(), feedback=counts, drift=[moved]), Path())
    assert (
        "## Feedback\n\n12 answers up, 3 down; 5 corrected boxes in 2 photos; 4 outfits saved, 1 rejected; 2 of all new"
        in text
    )
    assert "| visual_analysis analyze | brightness | 300 | 900 | 0.310 | moved far | median 0.5, now 0.3 |" in text
    away = to_markdown(replace(night(), problems={"feedback": "the database is away"}), Path())
    assert "## Feedback\n\nnot read: see the problems\n\n## Drift\n\nthere is no database here" in away


def test_saved_outfits_that_were_trained_on_stand_in_the_report() -> None:
    counts = SavedCounts(outfits=3, people=2, left_out={"the same garments as another one": 1})
    told = replace(night(), saved_outfits=counts)
    line = "3 saved outfits of 2 people to train on; 1 left out: the same garments as another one"
    lines = to_markdown(told, Path()).splitlines()
    assert lines.index("## Feedback") < lines.index(line) < lines.index("## Drift")
    expected = {"outfits": 3, "people": 2, "left_out": {"the same garments as another one": 1}}
    assert to_json(told)["saved_outfits"] == expected
    none = replace(night(), saved_outfits=SavedCounts(outfits=0, people=0, left_out={}))
    assert to_markdown(none, Path()) == to_markdown(night(), Path())
