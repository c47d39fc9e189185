"""The gate's rules, each on a comparison that differs in that rule alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from flows.gate import judge, with_other_seeds
from tests.training.paired_cases import mean_of
from training.chat.spec import ChatGate
from training.evaluate import judging
from training.judged import JudgedCases
from training.spec import GateRule

RULE = GateRule(metric="ap50", floor=0.2, min_gain=0.05, max_slice_drop=0.2)
CASES = 200


def cases(value: float, noise: float = 0.0, slices: Mapping[str, Sequence[int]] | None = None) -> JudgedCases:
    """A model of this mean; `noise` differs from case to case, and is the model's own."""
    swing = noise * np.random.default_rng(round(value * 1e6)).standard_normal(CASES) if noise else np.zeros(CASES)
    return mean_of(value + swing - swing.mean(), metric="ap50", unit="photos", slices=slices)


def comparison(challenger: JudgedCases, champion: JudgedCases | None = None, **controls: JudgedCases) -> dict[str, Any]:
    """As `training.evaluate` writes it; the reported half has metrics of its own, which decide nothing."""
    return {
        "challenger": {"metrics": {"ap50": 0.111}, "slices": {}, "n": 10},
        "champion": None if champion is None else {"metrics": {"ap50": 0.222}, "slices": {}, "n": 10},
        "judging": judging(challenger, champion, controls, seed=7),
    }


def test_a_first_model_needs_the_floor_only() -> None:
    assert judge(comparison(cases(0.2)), RULE).promote
    verdict = judge(comparison(cases(0.19)), RULE)
    assert (verdict.promote, verdict.label, verdict.finding) == (False, "rejected", "alone")
    assert verdict.reasons == ["ap50 0.190 is below the floor 0.200"]


def test_the_figures_shown_are_those_of_the_reported_half() -> None:
    verdict = judge(comparison(cases(0.5), cases(0.3)), RULE)
    assert (verdict.challenger, verdict.champion, verdict.finding) == (0.111, 0.222, "better")


def test_ties_and_gains_within_the_margin_keep_the_champion() -> None:
    for value in (0.40, 0.41, 0.42):
        verdict = judge(comparison(cases(value), cases(0.40)), RULE)
        assert (verdict.promote, verdict.label) == (False, "kept champion")
    assert "not by a gain that is worth a change: ap50 +0.010 (+0.010 to +0.010)" in verdict_reason(0.41)
    assert judge(comparison(cases(0.421), cases(0.40)), RULE).promote


def verdict_reason(value: float) -> str:
    return judge(comparison(cases(value), cases(0.40)), RULE).reasons[0]


def test_a_gain_that_may_be_chance_keeps_the_champion_and_says_what_would_have_been_seen() -> None:
    verdict = judge(comparison(cases(0.44, noise=0.5), cases(0.40, noise=0.5)), RULE)
    assert (verdict.label, verdict.finding) == ("kept champion", "cannot tell")
    (reason,) = verdict.reasons
    assert reason.startswith("cannot tell: ap50 +0.040 (-0.0")
    assert "on 200 photos; a gain of 0.1" in reason
    assert reason.endswith("would be seen in four nights of five")


def test_a_gain_that_another_seed_would_take_back_keeps_the_champion() -> None:
    compared = comparison(cases(0.46), cases(0.40))
    assert judge(compared, RULE).promote
    # Two trainings with a deviation of 0.03 each: 1.96 * 0.0424 = 0.083 on either side.
    verdict = judge(compared, RULE.model_copy(update={"seed_deviation": 0.03}))
    assert (verdict.promote, verdict.finding) == (False, "cannot tell")
    assert verdict.reasons == [
        "cannot tell: ap50 +0.060 (-0.023 to +0.143) on 200 photos; a gain of 0.119 would be seen in four nights of five"
    ]
    assert judge(compared, RULE.model_copy(update={"seed_deviation": 0.01})).promote


def test_chance_of_cases_and_of_seeds_add_as_variances() -> None:
    difference = judging(cases(0.46, noise=0.3), cases(0.40, noise=0.3), {}, seed=7)["champion"]["ap50"]
    assert with_other_seeds(difference, 0.0) == difference
    wide = with_other_seeds(difference, 0.02)
    for side in ("low", "high"):
        case_part, seed_part = difference[side] - difference["gain"], 1.959964 * math.sqrt(2) * 0.02
        assert abs(wide[side] - wide["gain"]) == pytest.approx(math.hypot(case_part, seed_part), abs=1e-6)
    assert wide["standard_error"] == pytest.approx(math.hypot(difference["standard_error"], math.sqrt(2) * 0.02))
    one_case = {"gain": 0.1, "low": None, "high": None}
    assert with_other_seeds(one_case, 0.02) == one_case


def test_a_certain_loss_is_called_worse() -> None:
    verdict = judge(comparison(cases(0.3), cases(0.4)), RULE)
    assert (verdict.finding, verdict.reasons) == ("worse", ["worse: ap50 -0.100 (-0.100 to -0.100) on 200 photos"])


def test_a_worse_challenger_below_the_floor_is_told_both_reasons() -> None:
    assert len(judge(comparison(cases(0.1), cases(0.4)), RULE).reasons) == 2


def test_a_model_that_is_no_better_than_a_control_does_not_serve() -> None:
    compared = comparison(cases(0.5, noise=0.5), None, popularity=cases(0.48, noise=0.5), guess=cases(0.25))
    (reason,) = judge(compared, RULE).reasons
    assert reason.startswith("ap50 0.500 is not certainly better than the control popularity (0.480): +0.020 (")
    assert judge(compared, RULE.model_copy(update={"controls": "ignored"})).promote
    allowed = RULE.model_copy(update={"controls": "not worse"})
    assert judge(compared, allowed).reasons == [
        "first champion: ap50 0.500, not certainly below the controls (popularity 0.480, guess 0.250)"
    ]
    (reason,) = judge(comparison(cases(0.3), None, popularity=cases(0.48)), allowed).reasons
    assert reason.startswith("ap50 0.300 is certainly worse than the control popularity (0.480): -0.180 (")
    beaten = judge(comparison(cases(0.5), None, popularity=cases(0.4), guess=cases(0.25)), RULE)
    assert beaten.reasons == ["first champion: ap50 0.500, above the controls (popularity 0.400, guess 0.250)"]


def test_a_control_that_has_not_the_metric_sets_no_bar() -> None:
    assert judge(comparison(cases(0.5), None, other=mean_of([0.9] * CASES, metric="recall")), RULE).promote


def test_a_control_that_is_not_defined_sets_no_bar_and_breaks_nothing() -> None:
    nothing = mean_of([math.nan] * CASES, metric="ap50")
    assert judge(comparison(cases(0.5), None, typical=nothing), RULE).promote


def with_slices(shoes: float, tops: float) -> JudgedCases:
    """0.6 over all, with two slices of 50 cases."""
    rest = 0.6
    worth = [shoes] * 50 + [tops] * 50 + [rest] * 100
    return mean_of(
        worth, metric="ap50", unit="photos", slices={"category shoes": range(50), "category tops": range(50, 100)}
    )


def test_one_fallen_slice_is_enough_to_keep_the_champion() -> None:
    verdict = judge(comparison(with_slices(0.29, 0.9), with_slices(0.5, 0.5)), RULE)
    assert verdict.reasons == ["category shoes falls from 0.500 to 0.290"]
    assert judge(comparison(with_slices(0.31, 0.9), with_slices(0.5, 0.5)), RULE).promote


def test_a_slice_that_may_have_fallen_by_chance_has_no_vote() -> None:
    slices = {"category shoes": range(20)}
    low = [0.0] * 11 + [0.5] * 9
    new = mean_of([*low, *[0.9] * 180], metric="ap50", slices=slices)
    old = mean_of([*reversed(low), *[0.5] * 180], metric="ap50", slices=slices)
    rule = RULE.model_copy(update={"max_slice_drop": 0.01})
    assert judge(comparison(new, old), rule).promote


def test_a_slice_that_the_challenger_does_not_have_is_not_compared() -> None:
    assert judge(comparison(cases(0.6), with_slices(0.1, 0.1)), RULE).promote


def test_a_small_slice_has_no_say() -> None:
    new = mean_of([0.1] * 6 + [0.6] * 194, metric="ap50", slices={"category scarves": range(6)})
    old = mean_of([0.9] * 6 + [0.4] * 194, metric="ap50", slices={"category scarves": range(6)})
    assert judge(comparison(new, old), RULE).promote
    large = RULE.model_copy(update={"min_slice_size": 6})
    assert judge(comparison(new, old), large).reasons == ["category scarves falls from 0.900 to 0.100"]


def two_metrics(fact_recall: float, truthfulness: float) -> JudgedCases:
    return JudgedCases(
        unit="conversations", cases=("a", "b"),
        measure=lambda _: {"fact_recall": fact_recall, "truthfulness": truthfulness},
    )  # fmt: skip


def test_the_comparison_may_use_another_metric_than_the_floor() -> None:
    rule = ChatGate(metric="fact_recall", compare="truthfulness", floor=0.05)
    compared = comparison(two_metrics(0.10, 0.62), two_metrics(0.15, 0.58))
    for role in ("challenger", "champion"):
        compared[role]["metrics"]["fact_recall"] = 0.1
    assert judge(compared, rule).promote, "a better base leaves less to reduce"
    compared["judging"] = judging(two_metrics(0.10, 0.581), two_metrics(0.15, 0.58), {}, seed=7)
    (reason,) = judge(compared, rule).reasons
    assert reason.startswith("better, but not by a gain that is worth a change: truthfulness +0.001")


@pytest.mark.parametrize(("known_to_challenger", "known_to_champion"), [(True, False), (False, False), (True, True)])
def test_an_evaluation_from_before_a_metric_is_read_without_it(
    known_to_challenger: bool, known_to_champion: bool
) -> None:
    """Nights that measured no answer relevance have none in their files; the verdict rests on what both have."""

    def evaluated(truthfulness: float, known: bool) -> JudgedCases:
        values = {"truthfulness": truthfulness} | ({"answer_relevance": 0.9} if known else {})
        return JudgedCases(unit="questions", cases=tuple(map(str, range(40))), measure=lambda _: values)

    compared = comparison(evaluated(0.7, known_to_challenger), evaluated(0.5, known_to_champion))
    for role in ("challenger", "champion"):
        compared[role]["metrics"]["truthfulness"] = 0.6
    assert ("answer_relevance" in compared["judging"]["champion"]) == (known_to_challenger and known_to_champion)
    assert judge(compared, ChatGate()).promote


def test_a_champion_that_cannot_be_judged_is_named_in_the_reason() -> None:
    compared = comparison(cases(0.5)) | {"champion_problem": "made for other categories"}
    assert "cannot be judged any more: made for other categories" in judge(compared, RULE).reasons[0]


def test_a_metric_that_was_not_measured_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="asks for 'recall'; judged: ap50"):
        judge(comparison(cases(0.5)), GateRule(metric="recall", floor=0.1))


def test_a_value_that_is_no_number_is_never_promoted() -> None:
    nan = mean_of([math.nan] * CASES, metric="ap50")
    assert not judge(comparison(nan), RULE).promote
    assert not judge(comparison(nan, cases(0.6)), RULE).promote
