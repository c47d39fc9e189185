"""The gate: may the challenger take the champion's place?

Four rules, each named in the verdict: an absolute floor, a relative gain over the champion, no slice that falls too far,
and an infrastructure check (the registered copy loads and answers) that its caller performs. Ties keep the champion.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field

from aura.settings import Section


class GateRule(Section):
    """When a challenger of one model is good enough."""

    metric: str
    floor: float
    """Smallest value that may serve at all."""
    min_gain: float = Field(default=0.01, ge=0)
    """Gain over the champion, relative to the champion's value, below which the champion stays."""
    max_slice_drop: float = Field(default=0.3, gt=0)
    """Largest absolute fall of the metric in one slice (category, photo type)."""
    min_slice_size: int = Field(default=20, ge=1)
    """Test cases below which a slice has no say: two lucky boxes of six would keep a better model out."""
    compare: str = ""
    """Metric that challenger and champion are compared by, when it is not `metric`; higher is better."""


class DetectionRule(GateRule):
    metric: Literal["ap50", "ap", "precision_served", "recall_served"] = "ap50"
    floor: float = 0.3


class OutfitsRule(GateRule):
    metric: Literal[
        "fitb",
        "fitb_by_query",
        "fitb_random",
        "fitb_gain",
        "fitb_gain_over_cooccurrence",
        "auc",
        "recall_at_1",
        "recall_at_5",
        "recall_at_10",
    ] = "fitb"
    floor: float = 0.4


class ChatRule(GateRule):
    metric: Literal["loss_reduction", "loss_reduction_low"] = "loss_reduction"
    floor: float = 0.1
    # The reduction is relative to the base and prompt of each artifact; what another base says is measured by the text.
    compare: Literal["char_probability", "loss_reduction"] = "char_probability"
    max_slice_drop: float = Field(default=0.05, gt=0)
    """Slices are `char_probability` too; 0.05 less is a tenth more loss."""


class GateSettings(Section):
    """One rule a model. For every metric named here, higher is better."""

    detection: DetectionRule = DetectionRule()
    outfits: OutfitsRule = OutfitsRule()
    chat: ChatRule = ChatRule()

    def rule(self, model: str) -> GateRule:
        rule: GateRule = getattr(self, model)
        return rule


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Outcome for one challenger; `reasons` holds one sentence a rule that decided."""

    promote: bool
    metric: str
    challenger: float
    champion: float | None
    reasons: list[str] = field(default_factory=list)

    @property
    def word(self) -> str:
        return "promoted" if self.promote else "kept champion" if self.champion is not None else "rejected"


def judge(figures: dict[str, Any], rule: GateRule) -> Verdict:
    """Apply a rule to the figures that `training.evaluate` wrote.

    Raises:
        ValueError: the figures lack the rule's metric.
    """
    metrics = figures["challenger"]["metrics"]
    if rule.metric not in metrics:
        raise ValueError(f"the gate asks for {rule.metric!r}; measured: {', '.join(sorted(metrics))}")
    value = float(metrics[rule.metric])
    champion = float(figures["champion"]["metrics"][rule.metric]) if figures["champion"] else None
    measure = rule.compare or rule.metric
    against: list[str] = []
    # Written so that a value that is no number fails each rule.
    if not value >= rule.floor:
        against.append(f"{rule.metric} {value:.3f} is below the floor {rule.floor:.3f}")
    if champion is not None:
        mine, its = float(metrics[measure]), float(figures["champion"]["metrics"][measure])
        needed = its + rule.min_gain * abs(its)
        if not mine > needed:
            against.append(f"{measure} {mine:.3f} does not exceed {needed:.3f} (champion {its:.3f} plus margin)")
        against += _fallen_slices(figures, rule)
    reasons = against or [_praise(rule, value, champion, figures.get("champion_problem"))]
    return Verdict(promote=not against, metric=rule.metric, challenger=value, champion=champion, reasons=reasons)


def _fallen_slices(figures: dict[str, Any], rule: GateRule) -> list[str]:
    fallen = []
    for kind, before in figures["champion"]["slices"].items():
        after = figures["challenger"]["slices"].get(kind, {})
        sizes = figures["challenger"].get("slice_sizes", {}).get(kind, {})
        for name, value in before.items():
            if sizes.get(name, rule.min_slice_size) < rule.min_slice_size:
                continue
            if name in after and after[name] < value - rule.max_slice_drop:
                fallen.append(f"{kind} {name} falls from {value:.3f} to {after[name]:.3f}")
    return fallen


def _praise(rule: GateRule, value: float, champion: float | None, problem: str | None) -> str:
    if problem:
        return f"{rule.metric} {value:.3f} is at or above the floor; the champion cannot be judged any more: {problem}"
    if champion is None:
        return f"first champion: {rule.metric} {value:.3f} is at or above the floor {rule.floor:.3f}"
    return f"{rule.metric} rises from {champion:.3f} to {value:.3f}"
