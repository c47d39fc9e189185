"""The gate: may the challenger take the champion's place?

Four rules, each named in the verdict: an absolute floor, a relative gain over the champion, no slice that falls too far,
and an infrastructure check (the registered copy loads and answers) that its caller performs. Ties keep the champion.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import create_model

from aura.settings import Section
from training.spec import GateRule, ModelSpec


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
    """Outcome for one challenger; `reasons` holds one sentence per rule that decided."""

    promote: bool
    metric: str
    challenger: float
    champion: float | None
    reasons: list[str] = field(default_factory=list)

    @property
    def label(self) -> str:
        return "promoted" if self.promote else "kept champion" if self.champion is not None else "rejected"


def judge(comparison: Mapping[str, Any], rule: GateRule) -> Verdict:
    """Apply a rule to the comparison that `training.evaluate` wrote.

    Raises:
        ValueError: the comparison lacks the rule's metric.
    """
    metrics = comparison["challenger"]["metrics"]
    if rule.metric not in metrics:
        raise ValueError(f"the gate asks for {rule.metric!r}; measured: {', '.join(sorted(metrics))}")
    value = float(metrics[rule.metric])
    champion = float(comparison["champion"]["metrics"][rule.metric]) if comparison["champion"] else None
    compared = rule.compare or rule.metric
    against: list[str] = []
    # Written so that NaN fails each rule.
    if not value >= rule.floor:
        against.append(f"{rule.metric} {value:.3f} is below the floor {rule.floor:.3f}")
    if champion is not None:
        new, old = float(metrics[compared]), float(comparison["champion"]["metrics"][compared])
        needed = old + rule.min_gain * abs(old)
        if not new > needed:
            against.append(f"{compared} {new:.3f} does not exceed {needed:.3f} (champion {old:.3f} plus margin)")
        against += _fallen_slices(comparison, rule)
    reasons = against or [_why_promoted(rule, value, champion, comparison.get("champion_problem"))]
    return Verdict(promote=not against, metric=rule.metric, challenger=value, champion=champion, reasons=reasons)


def _fallen_slices(comparison: Mapping[str, Any], rule: GateRule) -> list[str]:
    fallen = []
    for kind, before in comparison["champion"]["slices"].items():
        after = comparison["challenger"]["slices"].get(kind, {})
        sizes = comparison["challenger"].get("slice_sizes", {}).get(kind, {})
        for name, value in before.items():
            if sizes.get(name, rule.min_slice_size) < rule.min_slice_size:
                continue
            if name in after and after[name] < value - rule.max_slice_drop:
                fallen.append(f"{kind} {name} falls from {value:.3f} to {after[name]:.3f}")
    return fallen


def _why_promoted(rule: GateRule, value: float, champion: float | None, problem: str | None) -> str:
    if problem:
        return f"{rule.metric} {value:.3f} is at or above the floor; the champion cannot be judged any more: {problem}"
    if champion is None:
        return f"first champion: {rule.metric} {value:.3f} is at or above the floor {rule.floor:.3f}"
    return f"{rule.metric} rises from {champion:.3f} to {value:.3f}"
