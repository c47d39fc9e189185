"""Has what the services see and say moved: the prediction log's last days beside the days before them.

Per figure the population stability index, sum of (p - q) ln(p / q) over bins: deciles of the days before, or categories. Where
nothing has moved it is not 0 but about (bins - 1)(1/n + 1/m), distributed as chi-squared times (1/n + 1/m) (Yurdakul and
Naranjo, 2020, doi 10.21314/JRMV.2020.227). So a figure has moved when the index is at least 0.1, the usual mark, and more than
what chance gives once in a thousand times. n and m are answers, not values: the garments of one photo are not independent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from scipy.special import chdtri

from flows.profile import NightSettings
from stores.database import Database
from stores.predictions import Prediction, Predictions

MOVED, MOVED_FAR = 0.1, 0.25
"""Marks of the index: usual in credit scoring, where it comes from."""
_ERROR = 0.001
"""Share of the figures that chance alone moves past the bound."""
_BINS = 10
_MOST_ROWS = 50_000
"""Rows per side; of more, the newest."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """One figure of one endpoint.

    Attributes:
        now, before: answers that it rests on.
        index: population stability index; None where there are too few.
        finding: `steady`, `moved`, `moved far`, or `too few to tell`.
        values: what it was and is: medians, or the category that has gained most.
    """

    service: str
    endpoint: str
    figure: str
    now: int
    before: int
    index: float | None
    finding: str
    values: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def drift_of(database: Database, settings: NightSettings) -> list[Drift]:
    """Drift of each figure of the last days beside all days before them that are kept."""
    until = datetime.now(UTC)
    middle, since = (until - timedelta(days=days) for days in (settings.drift_days, settings.keep_predictions_days))
    now = await database.run(lambda connection: Predictions(connection).between(middle, until, _MOST_ROWS))
    before = await database.run(lambda connection: Predictions(connection).between(since, middle, _MOST_ROWS))
    return drifts(now, before, settings.drift_least_answers)


def drifts(now: Sequence[Prediction], before: Sequence[Prediction], least_rows: int) -> list[Drift]:
    """Drift of each figure that either side has, by service, endpoint and name.

    Args:
        least_rows: answers on each side, below which nothing is said.
    """
    new, old = _figures(now), _figures(before)
    return [_drift(name, new.get(name, []), old.get(name, []), least_rows) for name in sorted(new.keys() | old.keys())]


def stability_index(now: np.ndarray, before: np.ndarray) -> float:
    """Population stability index of two sets of counts of the same bins; half a count stands for none."""
    p, q = (np.maximum(counts, 0.5) / np.maximum(counts, 0.5).sum() for counts in (now, before))
    return float(np.sum((p - q) * np.log(p / q)))


Name = tuple[str, str, str]
Values = Sequence[float] | Sequence[str]


def _figures(predictions: Iterable[Prediction]) -> Mapping[Name, list[Values]]:
    """Values of each answer by service, endpoint and figure; an answer without any has none."""
    found: dict[Name, list[Values]] = {}
    for made in predictions:
        for figure, values in ({"seconds": [made.seconds]} | dict(made.figures)).items():
            if values:
                found.setdefault((made.service, made.endpoint, figure), []).append(values)
    return found


def _drift(name: Name, now: Sequence[Values], before: Sequence[Values], least_rows: int) -> Drift:
    service, endpoint, figure = name
    sizes: dict[str, Any] = {
        "service": service,
        "endpoint": endpoint,
        "figure": figure,
        "now": len(now),
        "before": len(before),
    }
    if min(len(now), len(before)) < least_rows:
        return Drift(**sizes, index=None, finding="too few to tell", values="")
    new, old = ([value for values in side for value in values] for side in (now, before))
    counts, values = _numbers(new, old) if isinstance(old[0], int | float) else _categories(new, old)
    index = stability_index(*counts)
    bound = max(MOVED, float(chdtri(max(1, len(counts[0]) - 1), _ERROR)) * (1 / len(now) + 1 / len(before)))
    finding = "steady" if len(counts[0]) < 2 or index < bound else "moved far" if index >= MOVED_FAR else "moved"
    return Drift(**sizes, index=index, finding=finding, values=values)


def _numbers(new: Sequence[Any], old: Sequence[Any]) -> tuple[tuple[np.ndarray, np.ndarray], str]:
    values = f"median {np.median(old):.3g}, now {np.median(new):.3g}"
    if len({*old}) <= _BINS:  # of few numbers, as counts are, each is a bin
        return _categories(new, old)[0], values
    inner = np.unique(np.quantile(old, np.linspace(0, 1, _BINS + 1)[1:-1]))
    edges = np.concatenate([[-np.inf], inner, [np.inf]])
    new_counts, old_counts = (np.histogram(side, edges)[0] for side in (new, old))
    kept = (new_counts + old_counts) > 0
    return (new_counts[kept], old_counts[kept]), values


def _categories(new: Sequence[Any], old: Sequence[Any]) -> tuple[tuple[np.ndarray, np.ndarray], str]:
    names = sorted({*new, *old})
    new_counts, old_counts = (np.array([side.count(name) for name in names]) for side in (new, old))
    new_shares, old_shares = new_counts / len(new), old_counts / len(old)
    most = int(np.argmax(np.abs(new_shares - old_shares)))
    return (new_counts, old_counts), f"{names[most]} {old_shares[most]:.0%}, now {new_shares[most]:.0%}"


def told(found: Sequence[Drift]) -> list[Drift]:
    """Those that rest on enough, the largest index first."""
    return sorted((drift for drift in found if drift.index is not None), key=lambda drift: -(drift.index or 0.0))


def too_few(found: Sequence[Drift]) -> list[str]:
    """A line per endpoint of which a figure rests on too little."""
    most: dict[str, tuple[int, int]] = {}
    for drift in found:
        if drift.index is None:
            name = f"{drift.service} {drift.endpoint}"
            now, before = most.get(name, (0, 0))
            most[name] = max(now, drift.now), max(before, drift.before)
    return [f"{name}: too few to tell ({now} answers, {before} before)" for name, (now, before) in most.items()]


def drift_lines(found: Sequence[Drift]) -> list[str]:
    """All of it in Markdown."""
    rows = [
        f"| {drift.service} {drift.endpoint} | {drift.figure} | {drift.now} | {drift.before} | {drift.index:.3f} "
        f"| {drift.finding} | {drift.values} |"
        for drift in told(found)
    ]
    head = ["| service | figure | answers | before | index | finding | values |", "|---|---|---|---|---|---|---|"]
    table = [*head, *rows, ""] if rows else []
    return [*table, *(f"- {line}" for line in too_few(found))] or ["no predictions are recorded"]
