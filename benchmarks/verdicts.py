"""What the gate says of trainings: beside one champion, in every pair, and on judging halves that are drawn again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np

from aura.settings import read_profile, validate
from benchmarks.retrainings import SEED, Retraining, drawn_again, drawn_halves
from flows.gate import judge
from training.evaluate import judging
from training.judged import JudgedCases
from training.models import MODELS
from training.spec import GateRule


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One challenger beside a champion.

    Attributes:
        difference: in the metric that the gate compares by, on the judging half, without the part of the seeds.
        finding: the gate's, with that part.
        true: gain on the reported half, which chose nothing; None where a resampling has no such half.
    """

    seed: int
    promoted: bool
    difference: Mapping[str, Any]
    finding: str
    reason: str
    true: float | None = None

    @property
    def outcome(self) -> str:
        """What a night's report would say; a better one that a slice or a control keeps out is told apart."""
        return "promoted" if self.promoted else "better, but kept" if self.finding == "better" else self.finding


def rule_of(model: str) -> GateRule:
    """The gate's rule in the sample profile."""
    return validate(MODELS[model].gate, (read_profile("sample").get("gate") or {}).get(model), f"gate.{model}")


def judged_beside(
    new: JudgedCases, old: JudgedCases, controls: Mapping[str, JudgedCases], rule: GateRule, seed: int = SEED
) -> Judged:
    """The gate's verdict on two models of the same cases."""
    compared = {role: {"metrics": dict(of.values)} for role, of in (("challenger", new), ("champion", old))}
    verdict = judge({**compared, "judging": (found := judging(new, old, controls, SEED))}, rule)
    return Judged(
        seed=seed, promoted=verdict.promote, difference=found["champion"][rule.compare or rule.metric],
        finding=verdict.finding, reason="; ".join(verdict.reasons),
    )  # fmt: skip


def resampled(
    first: JudgedCases, second: JudgedCases, controls: Mapping[str, JudgedCases], rule: GateRule, *, exchange: bool
) -> list[Judged]:
    """Verdicts on judging halves that are drawn with replacement from the cases of the real one (`drawn_halves`).

    It works for the judged cases of any model, and stands for retraining where a training takes too long.

    Args:
        exchange: the two are trainings by one recipe, so that a coin says which is the champion: then, and only then, neither
            is better in expectation. Otherwise `first` is the challenger.
    """
    rng = np.random.default_rng(SEED)
    verdicts = []
    for number, rows in enumerate(drawn_halves(len(first.cases))):
        new, old = (first, second) if not exchange or rng.random() < 0.5 else (second, first)
        drawn = {name: drawn_again(control, rows) for name, control in controls.items()}
        verdicts.append(judged_beside(drawn_again(new, rows), drawn_again(old, rows), drawn, rule, seed=number))
    return verdicts


def against(
    champion: Retraining, challengers: Mapping[int, Retraining], controls: Mapping[str, JudgedCases], rule: GateRule
) -> list[Judged]:
    """Every challenger beside the champion."""
    return [
        replace(
            judged_beside(challenger.judged, champion.judged, controls, rule, seed),
            true=challenger.metrics[rule.metric] - champion.metrics[rule.metric],
        )
        for seed, challenger in challengers.items()
    ]


def any_pair(equals: Sequence[Retraining], rule: GateRule) -> list[Judged]:
    """Every training by one recipe beside every other: which of them is the champion was chance."""
    return [judged_beside(new.judged, old.judged, {}, rule) for new, old in permutations(equals, 2)]


def seed_deviation(trainings: Sequence[Retraining], metric: str) -> float:
    """Standard deviation of the true quality of trainings that differ in the seed alone.

    What a training scores on one half is its quality plus what chance made of these photos; the halves share the first alone, so
    that it is their covariance.
    """
    halves = [(training.metrics[metric], training.judged.values[metric]) for training in trainings]
    return float(np.sqrt(max(0.0, np.cov(np.array(halves).T)[0, 1])))
