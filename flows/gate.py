"""The gate: may the challenger take the champion's place?

Five rules, each named in the verdict. On the judging half of the test split, by the intervals that `training.evaluate` wrote:
better than every control that needs no training (where a profile says so: not worse), at or above the operator's floor if there
is one, better than the champion by more than chance (of the cases, and of the seeds of both trainings) and by a gain that is
worth a change, no large slice that falls too far; and the registered copy answers its smoke test, which its caller performs.
Where the judging half cannot tell, the champion stays.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any, Literal

from pydantic import create_model

from aura.settings import Section
from training.judged import Finding
from training.spec import GateRule, ModelSpec

PROMOTED = "promoted"
"""Label of a verdict after which the challenger serves."""
_TWO_SIDED_95, _POWER_80 = NormalDist().inv_cdf(0.975), NormalDist().inv_cdf(0.8)


class GateSettings(Section):
    """One rule per model: base of the schema that `gate_settings` makes."""

    def rule(self, model: str) -> GateRule:
        rule: GateRule = getattr(self, model)
        return rule


def gate_settings(models: Mapping[str, ModelSpec]) -> type[GateSettings]:
    """Schema of the section `gate`: a field per model, whose defaults are those of its spec."""
    fields: dict[str, Any] = {name: (spec.gate, spec.gate.model_validate({})) for name, spec in models.items()}
    return create_model("GateSettings", __base__=GateSettings, **fields)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Outcome for one challenger.

    Attributes:
        challenger, champion: `metric` of each on the reported half, which had no part in the verdict.
        finding: what the judging half says of challenger and champion; `alone` without a champion.
        reasons: one sentence per rule that decided.
    """

    promote: bool
    metric: str
    challenger: float
    champion: float | None
    finding: Finding | Literal["alone"] = "alone"
    reasons: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return PROMOTED if self.promote else "kept champion" if self.champion is not None else "rejected"


def judge(comparison: Mapping[str, Any], rule: GateRule) -> Verdict:
    """Apply a rule to the comparison that `training.evaluate` wrote.

    Raises:
        ValueError: the comparison lacks the rule's metric.
    """
    judging, compared = comparison["judging"], rule.compare or rule.metric
    for metric in (rule.metric, compared):
        if metric not in judging["challenger"]:
            raise ValueError(f"the gate asks for {metric!r}; judged: {', '.join(sorted(judging['challenger']))}")
    value = judging["challenger"][rule.metric]
    value = float("nan") if value is None else float(value)
    against = _below_the_floor(judging, rule, value)
    finding: Finding | Literal["alone"] = "alone"
    if judging["champion"] is not None:
        difference = with_other_seeds(judging["champion"][compared], rule.seed_deviation)
        judging = {**judging, "champion": {**judging["champion"], compared: difference}}
        finding = difference["finding"]
        if finding != "better" or difference["gain"] <= rule.min_gain * abs(difference["old"]):
            against.append(_no_gain(judging, compared, difference))
        against += _fallen_slices(judging, rule)
    champion = comparison["champion"]["metrics"][rule.metric] if comparison["champion"] else None
    return Verdict(
        promote=not against, metric=rule.metric, challenger=float(comparison["challenger"]["metrics"][rule.metric]),
        champion=None if champion is None else float(champion), finding=finding,
        reasons=against or [_why_promoted(judging, rule, value, comparison.get("champion_problem"))],
    )  # fmt: skip


def with_other_seeds(difference: Mapping[str, Any], deviation: float) -> Mapping[str, Any]:
    """A difference whose interval also covers the seeds of the two trainings: independent variances add.

    Args:
        deviation: standard deviation between trainings that differ in the seed alone.
    """
    if not deviation or difference["low"] is None:
        return difference
    of_both = math.sqrt(2) * deviation
    gain = difference["gain"]
    low = gain - math.hypot(gain - difference["low"], _TWO_SIDED_95 * of_both)
    high = gain + math.hypot(difference["high"] - gain, _TWO_SIDED_95 * of_both)
    error = math.hypot(difference["standard_error"], of_both)
    return {
        **difference, "low": low, "high": high, "standard_error": error,
        "detectable": (_TWO_SIDED_95 + _POWER_80) * error,
        "finding": "better" if low > 0 else "worse" if high < 0 else "cannot tell",
    }  # fmt: skip


def _below_the_floor(judging: Mapping[str, Any], rule: GateRule, value: float) -> list[str]:
    against = []
    passing = {
        "better": ("better",),
        "not worse": ("better", "cannot tell"),
        "ignored": ("better", "cannot tell", "worse"),
    }
    too_low = "not certainly better" if rule.controls == "better" else "certainly worse"
    for name, differences in judging["controls"].items():
        difference = differences.get(rule.metric)
        if difference is None or difference["old"] is None or difference["finding"] in passing[rule.controls]:
            continue
        against.append(
            f"{rule.metric} {value:.3f} is {too_low} than the control {name} ({difference['old']:.3f}): "
            f"{interval(difference)} on {judging['cases']} {judging['unit']}"
        )
    if math.isnan(value):
        against.append(f"{rule.metric} is not defined on the judging half")
    elif rule.floor is not None and value < rule.floor:
        against.append(f"{rule.metric} {value:.3f} is below the floor {rule.floor:.3f}")
    return against


def _no_gain(judging: Mapping[str, Any], metric: str, difference: Mapping[str, Any]) -> str:
    said = f"{metric} {interval(difference)} on {judging['cases']} {judging['unit']}"
    if difference["finding"] == "better":
        return f"better, but not by a gain that is worth a change: {said}"
    if difference["finding"] == "worse" or difference["detectable"] is None:
        return f"{difference['finding']}: {said}"
    return f"cannot tell: {said}; a gain of {difference['detectable']:.3f} would be seen in four nights of five"


def _fallen_slices(judging: Mapping[str, Any], rule: GateRule) -> list[str]:
    return [
        f"{name} falls from {difference['old']:.3f} to {difference['new']:.3f}"
        for name, difference in judging["champion"].items()
        if judging["sizes"].get(name, 0) >= rule.min_slice_size
        and difference["finding"] == "worse"
        and difference["gain"] < -rule.max_slice_drop
    ]


def _why_promoted(judging: Mapping[str, Any], rule: GateRule, value: float, problem: str | None) -> str:
    if judging["champion"] is not None:
        metric = rule.compare or rule.metric
        said = interval(judging["champion"][metric])
        return f"better: {metric} {said} on {judging['cases']} {judging['unit']}"
    controls = {
        name: differences[rule.metric]["old"]
        for name, differences in judging["controls"].items()
        if rule.metric in differences and differences[rule.metric]["old"] is not None
    }
    beside = ", ".join(f"{name} {old:.3f}" for name, old in controls.items())
    above = {"better": "above", "not worse": "not certainly below", "ignored": "beside"}[rule.controls]
    said = f"{rule.metric} {value:.3f}" + (f", {above} the controls ({beside})" if beside else "")
    if problem:
        return f"{said}; the champion cannot be judged any more: {problem}"
    return f"first champion: {said}"


def interval(difference: Mapping[str, Any]) -> str:
    """A gain with its 95 % interval, for people."""
    if difference["gain"] is None:
        return "not defined"
    if difference["low"] is None:
        return f"{difference['gain']:+.3f} (one case: no interval)"
    return f"{difference['gain']:+.3f} ({difference['low']:+.3f} to {difference['high']:+.3f})"
