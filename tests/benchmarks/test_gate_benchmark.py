"""The benchmark of the gate: what is kept of a training, judging halves drawn again, and the page."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gate
from benchmarks.retrainings import SEED, Recipe, Retraining, finished, recalled, remembered, retrain
from benchmarks.verdicts import any_pair, drawn_again, judged_beside, resampled, seed_deviation
from tests.training.detection.conftest import shapes_dir  # noqa: F401 - a fixture
from tests.training.paired_cases import mean_of
from training.paired import differences
from training.spec import GateRule

RULE = GateRule(metric="accuracy")
QUICK = {
    "tiny": {"hidden_size": 32, "queries": 8, "decoder_layers": 2, "out_stride": 16, "backbone_sizes": [8, 16, 24, 32]},
    "image_height": 96, "image_width": 64, "max_epochs": 1, "validate_every_epochs": 1, "batch_size": 4, "accelerator": "cpu",
}  # fmt: skip


def outcomes(exchange: bool, gain: float) -> list[str]:
    """Of two models with independent mistakes on 300 cases."""
    rng = np.random.default_rng(1)
    old, new = (rng.random(300) < skill for skill in (0.5, 0.5 + gain))
    return [verdict.outcome for verdict in resampled(mean_of(new), mean_of(old), {}, RULE, exchange=exchange)]


def test_equals_are_seldom_promoted_and_a_better_one_mostly() -> None:
    assert outcomes(exchange=True, gain=0.0).count("promoted") <= 2
    assert outcomes(exchange=False, gain=0.2).count("promoted") >= 16


def test_of_exchanged_models_each_is_the_challenger_now_and_then() -> None:
    found = outcomes(exchange=True, gain=0.3)
    assert min(found.count("promoted"), found.count("worse")) >= 4


def test_a_half_drawn_again_holds_its_cases_as_often_as_they_were_drawn() -> None:
    model = mean_of([0.0, 0.5, 1.0])
    assert drawn_again(model, np.array([2, 2, 1])).values["accuracy"] == pytest.approx(2.5 / 3)
    again = drawn_again(model, np.array([0, 2, 2]))
    assert again.measure(np.array([1, 0, 1]))["accuracy"] == pytest.approx(0.5)
    assert len(set(again.cases)) == 3


def test_controls_are_drawn_again_with_the_models() -> None:
    good, control = mean_of([1.0] * 90 + [0.0] * 10), {"guess": mean_of([0.0] * 10 + [1.0] * 90)}
    verdicts = resampled(good, mean_of([0.0] * 100), control, RULE, exchange=False)
    assert {verdict.outcome for verdict in verdicts} == {"better, but kept"}
    assert all("not certainly better than the control guess" in verdict.reason for verdict in verdicts)


def test_what_is_kept_of_a_training_judges_as_the_training_itself() -> None:
    rng = np.random.default_rng(2)
    new, old = (
        mean_of(rng.random(40), slices={"category hats": [3]}),
        mean_of(rng.random(40), slices={"category hats": [3]}),
    )
    kept = [recalled(json.loads(json.dumps(remembered(model)))) for model in (new, old)]
    assert kept[0] == new
    assert kept[0].sizes == new.sizes
    assert differences(*kept, seed=SEED) == differences(new, old, seed=SEED)
    with_halves = recalled(json.loads(json.dumps(remembered(new, drawn=True))))
    assert (
        resampled(with_halves, with_halves, {}, RULE, exchange=False)[3]
        == (resampled(new, new, {}, RULE, exchange=False)[3])
    )


def training(quality: float, rng: np.random.Generator) -> Retraining:
    reported, judging = quality + 0.02 * rng.standard_normal(2)
    return Retraining(metrics={"accuracy": reported}, judged=mean_of([judging] * 5), seconds=1.0)


def test_the_deviation_between_seeds_leaves_out_the_noise_of_a_half() -> None:
    rng = np.random.default_rng(3)
    assert seed_deviation([training(0.5, rng) for _ in range(400)], "accuracy") < 0.008
    spread = [training(0.5 + 0.03 * rng.standard_normal(), rng) for _ in range(400)]
    assert seed_deviation(spread, "accuracy") == pytest.approx(0.03, rel=0.15)


def test_every_pair_is_judged_both_ways() -> None:
    rng = np.random.default_rng(4)
    trainings = [
        Retraining(metrics={"accuracy": 0.5}, judged=mean_of(rng.random(50) < skill), seconds=1.0)
        for skill in (0.1, 0.9)
    ]
    assert [verdict.outcome for verdict in any_pair(trainings, RULE)] == ["worse", "promoted"]


def test_a_better_one_that_is_kept_is_told_apart() -> None:
    slices = {"category hats": range(30)}
    new, old = mean_of([0.0] * 30 + [1.0] * 170, slices=slices), mean_of([0.9] * 30 + [0.5] * 170, slices=slices)
    assert judged_beside(new, old, {}, RULE).outcome == "better, but kept"


def test_a_stopped_run_goes_on_and_the_page_says_what_it_rests_on(
    tmp_path: Path, shapes_dir: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    beginning = Recipe(name="beginning", model="detection", rows=8, changes=QUICK)
    equal = Recipe(
        name="equal", model="detection", rows=8, changes=QUICK | {"average_with_champion": ()}, base=beginning
    )
    better = Recipe(
        name="better", model="detection", rows=16, changes=QUICK | {"average_with_champion": ()}, base=beginning
    )
    work, data = tmp_path / "work", shapes_dir
    first = retrain(work, data, equal, SEED)
    retrain(work, data, better, SEED + 1)
    result = work / "detection" / f"equal-{SEED}" / "result.json"
    written = result.stat().st_mtime_ns
    assert retrain(work, data, equal, SEED).judged == first.judged
    assert result.stat().st_mtime_ns == written, "it was trained again"
    assert len(json.loads((work / "parts" / "detection-8" / "detection" / "train.json").read_text())["images"]) == 8
    assert finished(work, Recipe(name="equal", model="detection", rows=9, changes=QUICK), SEED) is None

    monkeypatch.setattr(gate, "DETECTION", (equal, better))
    page = tmp_path / "gate.md"
    monkeypatch.setattr(
        sys, "argv", ["gate", "--work", str(work), "--data", str(data), "--page", str(page), "--page-only"]
    )
    gate.main()
    text = page.read_text()
    assert "rests on 0 of 20 equals and 1 of 20 better ones" in text
    assert f"| better | {SEED + 1} |" in text
    assert "Not trained yet" in text
