"""What a night tells Prometheus: a file of metrics under the home folder, written when the night ends.

A night is over before anybody could ask it, so its metrics lie in a file in Prometheus' text format, which `prometheus_client`
writes whole or not at all. The platform's health shows it at `/metrics` (`flows/gateway/platform_metrics.py`); a node exporter's
textfile collector would read it as well. Moments are metrics, not ages: an age would stand still when no night comes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from flows.report import NightReport

FOLDER = "metrics"
"""Under the home folder."""


@dataclass(frozen=True, kw_only=True)
class Serves:
    """What serves when the night has ended.

    Attributes:
        champions: model to version and the moment at which it was registered.
        index: number and moment of the release of the index that readers find; None: they find none.
    """

    champions: Mapping[str, tuple[str, datetime]]
    index: tuple[int, datetime] | None


def metrics_file(home: Path, profile: str) -> Path:
    """File with the metrics of a profile's latest night."""
    return home / FOLDER / f"night-{profile}.prom"


def write_night_metrics(report: NightReport, steps: Mapping[str, bool], serves: Serves, home: Path) -> Path:
    """Write what Prometheus is to know of a night; returns the file.

    Args:
        steps: step to whether it ended well; one that was not tried did not.
    """
    file = metrics_file(home, report.profile)
    before = _moments(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    registry = CollectorRegistry()

    def gauge(name: str, about: str, labels: tuple[str, ...] = ()) -> Callable[..., Gauge]:
        made = Gauge(name, about, ("profile", *labels), registry=registry)
        return lambda *values: made.labels(report.profile, *values)

    ended = report.started.timestamp() + report.seconds
    gauge("aura_night_started_timestamp_seconds", "When the latest night began")().set(report.started.timestamp())
    gauge("aura_night_ended_timestamp_seconds", "When the latest night ended, well or not")().set(ended)
    for name, about, is_now in (
        ("aura_night_last_success_timestamp_seconds", "When a night last ended without problems", not report.problems),
        ("aura_index_checked_timestamp_seconds", "When a night last found the index up to date", steps.get("index")),
    ):
        moment = ended if is_now else before.get(name)
        if moment is not None:
            gauge(name, about)().set(moment)
    gauge("aura_night_seconds", "Seconds that the latest night took")().set(report.seconds)
    gauge("aura_night_problems", "Problems in the report of the latest night")().set(len(report.problems))
    ok = gauge("aura_night_step_ok", "Whether a step of the latest night ended well", ("step",))
    for step, is_ok in steps.items():
        ok(step).set(is_ok)
    stage_seconds = gauge("aura_night_stage_seconds", "Seconds per stage of the latest night", ("stage",))
    for stage in report.stages:
        stage_seconds(stage.stage).set(stage.seconds)
    promoted = gauge("aura_night_promoted", "Whether the latest night promoted its candidate", ("model",))
    score = gauge("aura_night_score", "Metric of the gate on the test split", ("model", "metric", "role"))
    for outcome in report.outcomes:
        promoted(outcome.model).set(outcome.verdict == "promoted")
        for role, value in (("champion", outcome.champion), ("challenger", outcome.challenger)):
            if value is not None:
                score(outcome.model, outcome.metric, role).set(value)
    psi = gauge(
        "aura_drift_psi",
        "Population stability index of a figure of answers",
        ("service", "endpoint", "figure", "finding"),
    )
    for drift in report.drift or ():
        if drift.index is not None:
            psi(drift.service, drift.endpoint, drift.figure, drift.finding).set(drift.index)
    champion = gauge(
        "aura_champion_created_timestamp_seconds", "When the champion was registered", ("model", "version")
    )
    for model, (version, created) in serves.champions.items():
        champion(model, version).set(created.timestamp())
    if serves.index is not None:
        number, built = serves.index
        index = gauge("aura_index_created_timestamp_seconds", "When the served index was built", ("release",))
        index(str(number)).set(built.timestamp())
    size = gauge("aura_home_bytes", "Bytes on the disk per folder of the home folder", ("folder",))
    for folder, taken in report.disk.items():
        size(folder).set(taken)
    write_to_textfile(str(file), registry)
    return file


def _moments(file: Path) -> dict[str, float]:
    """Values of the metrics without labels of their own that the night before wrote; empty without one."""
    try:
        families = list(text_string_to_metric_families(file.read_text(encoding="utf-8")))
    except (OSError, ValueError):  # none, or of another making: moments begin anew
        return {}
    return {family.name: family.samples[0].value for family in families if len(family.samples) == 1}
