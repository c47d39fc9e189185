"""The card of a judged version, as MLflow's page shows it: verdict, metrics beside the champion's, slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aura.registry import ModelVersion
from aura.version_page import VersionPage
from flows.gate import Verdict
from training.average_record import AverageRecord
from training.spec import ModelSpec

_SPLIT = "test"


def version_page(
    spec: ModelSpec, version: str, comparison: Mapping[str, Any], verdict: Verdict, champion: ModelVersion | None
) -> VersionPage:
    """Page of a version.

    Args:
        comparison: what `training.evaluate` wrote.
        champion: the one before the verdict; it is named when it is what the comparison was made with.
    """
    challenger = comparison["challenger"]
    known = champion is not None and champion.tags.get("candidate_id") == comparison["champion_candidate_id"]
    return VersionPage(
        title=f"{spec.name} v{version}",
        description=_card(
            spec, comparison, verdict, f"champion (v{champion.version})" if champion and known else "champion"
        ),
        metrics={f"{_SPLIT}/{name}": value for name, value in challenger["metrics"].items() if value is not None}
        | {
            f"{_SPLIT}/{kind}/{name.replace('/', '_')}": value
            for kind, values in challenger["slices"].items()
            for name, value in values.items()
            if value is not None
        },
    )


def _card(spec: ModelSpec, comparison: Mapping[str, Any], verdict: Verdict, champion: str) -> str:
    new, old = comparison["challenger"], comparison["champion"]
    names = sorted(new["metrics"], key=lambda name: (name != verdict.metric, name))
    before = old["metrics"] if old else {}
    rows = [
        [f"**{name}**" if name == verdict.metric else name, _number(new["metrics"][name]), _number(before.get(name)),
         spec.metrics.get(name, "")]
        for name in names
    ]  # fmt: skip
    cases = f" ({new['n']} cases)" if "n" in new else ""
    sections = [
        # The list of versions shows the first words alone.
        f"{verdict.metric} {_number(verdict.challenger)}, {verdict.label}: {'; '.join(verdict.reasons)}",
        f"## Metrics on the reported half of the test split{cases}",
        _table(["metric", "this version", champion if old else "", "what it says"], rows),
    ]
    if average := comparison.get("average"):
        sections.append(f"Averages with the champion that it began with: {AverageRecord(**average)}.")
    for kind, values in new["slices"].items():
        sizes = new.get("slice_sizes", {}).get(kind, {})
        before = old["slices"].get(kind, {}) if old else {}
        rows = [
            [name, _number(values[name]), _number(before.get(name)), str(sizes.get(name, "-"))]
            for name in sorted(values, key=lambda name: (values[name] or 0.0, name))  # the weakest first
        ]
        sections += [
            f"## {spec.slice_metric or 'slices'} per {kind}",
            _table([kind, "this version", champion if old else "", "cases"], rows),
        ]
    return "\n\n".join(sections)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown table; a column without a header is left out."""
    lines = [
        [cell.replace("|", "/") for name, cell in zip(header, row, strict=True) if name]
        for row in (header, ["---"] * len(header), *rows)
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    is_count = float(value).is_integer() and abs(value) > 1
    return f"{value:.0f}" if is_count else f"{value:.4f}"
