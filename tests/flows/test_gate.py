"""The gate's rules, each on a comparison that differs in that rule alone."""

from __future__ import annotations

from typing import Any

import pytest

from flows.gate import judge
from training.chat.spec import ChatGate
from training.spec import GateRule

RULE = GateRule(metric="ap50", floor=0.2, min_gain=0.05, max_slice_drop=0.2)


def comparison(challenger: float, champion: float | None = None, **slices: tuple[float, float]) -> dict[str, Any]:
    def evaluation(value: float, place: int) -> dict[str, Any]:
        return {
            "metrics": {"ap50": value},
            "slices": {"category": {name: pair[place] for name, pair in slices.items()}},
            "n": 10,
        }

    return {"challenger": evaluation(challenger, 1), "champion": None if champion is None else evaluation(champion, 0)}


def test_a_first_model_needs_the_floor_only() -> None:
    assert judge(comparison(0.2), RULE).promote
    verdict = judge(comparison(0.19), RULE)
    assert (verdict.promote, verdict.label) == (False, "rejected")
    assert verdict.reasons == ["ap50 0.190 is below the floor 0.200"]


def test_ties_and_gains_within_the_margin_keep_the_champion() -> None:
    for value in (0.40, 0.41, 0.42):
        verdict = judge(comparison(value, 0.40), RULE)
        assert (verdict.promote, verdict.label) == (False, "kept champion")
    assert judge(comparison(0.421, 0.40), RULE).promote


def test_a_worse_challenger_below_the_floor_is_told_both_reasons() -> None:
    assert len(judge(comparison(0.1, 0.4), RULE).reasons) == 2


def test_one_fallen_slice_is_enough_to_keep_the_champion() -> None:
    verdict = judge(comparison(0.6, 0.4, shoes=(0.5, 0.29), tops=(0.5, 0.31)), RULE)
    assert verdict.reasons == ["category shoes falls from 0.500 to 0.290"]


def test_a_slice_that_the_challenger_does_not_have_is_not_compared() -> None:
    compared = comparison(0.6, 0.4)
    compared["champion"]["slices"] = {"category": {"hats": 0.9}}
    assert judge(compared, RULE).promote


def test_a_small_slice_has_no_say() -> None:
    compared = comparison(0.6, 0.4, scarves=(0.9, 0.1))
    compared["challenger"]["slice_sizes"] = {"category": {"scarves": 6}}
    assert judge(compared, RULE).promote
    compared["challenger"]["slice_sizes"] = {"category": {"scarves": 20}}
    assert judge(compared, RULE).reasons == ["category scarves falls from 0.900 to 0.100"]


def test_the_comparison_may_use_another_metric_than_the_floor() -> None:
    compared = comparison(0.10, 0.15)
    for role, text in (("challenger", 0.62), ("champion", 0.58)):
        compared[role]["metrics"]["char_probability"] = text
    rule = ChatGate(metric="loss_reduction", floor=0.05)
    for role in ("challenger", "champion"):
        compared[role]["metrics"]["loss_reduction"] = compared[role]["metrics"]["ap50"]
    assert judge(compared, rule).promote, "a better base leaves less to reduce"
    compared["challenger"]["metrics"]["char_probability"] = 0.581
    assert judge(compared, rule).reasons == [
        "char_probability 0.581 does not exceed 0.586 (champion 0.580 plus margin)"
    ]


def test_a_champion_that_cannot_be_judged_is_named_in_the_reason() -> None:
    compared = comparison(0.5) | {"champion_problem": "made for other categories"}
    assert "cannot be judged any more: made for other categories" in judge(compared, RULE).reasons[0]


def test_a_metric_that_was_not_measured_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="asks for 'recall'; measured: ap50"):
        judge(comparison(0.5), GateRule(metric="recall", floor=0.1))


def test_a_value_that_is_no_number_is_never_promoted() -> None:
    assert not judge(comparison(float("nan")), RULE).promote
    assert not judge(comparison(float("nan"), champion=0.6), RULE).promote
