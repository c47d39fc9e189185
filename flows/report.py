"""The night's report: one value object, as Markdown for Prefect and the report file, and as a table for the terminal."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aura.artifact import write_json, write_text
from flows.drift import Drift, drift_lines
from flows.feedback import FeedbackCounts
from flows.gate import interval
from flows.promotion import Outcome
from flows.saved_outfits import SavedCounts
from flows.stages import StageResult
from training.average_record import AverageRecord

REPORT, RESULT = "report.md", "result.json"


@dataclass(frozen=True, kw_only=True)
class NightReport:
    """What a night did.

    Attributes:
        index: what `metrics/index.json` says; empty when the index stage failed.
        bentos: service to tag of the Bento that answered.
        links: name to where a person finds it.
        notices: model to what must be known of the training of its champion, for example that it has seen drawn pictures only.
        removed: what the retention removed, one line per kind.
        feedback: what people said of answers; None without a database, or when it could not be read.
        saved_outfits: those that the outfit model was trained on; None likewise.
        drift: of the prediction log; None likewise.
        disk: folder of the home to bytes on the disk, after what nothing needs was removed.
        problems: step to what went wrong.
    """

    profile: str
    started: datetime
    seconds: float
    flow_run_id: str
    outcomes: Sequence[Outcome]
    stages: Sequence[StageResult]
    index: dict[str, Any]
    bentos: dict[str, str]
    snapshot: str
    git_commit: str
    links: dict[str, str]
    notices: Mapping[str, str] = field(default_factory=dict)
    removed: Sequence[str] = ()
    pictures: Sequence[Path] = ()
    feedback: FeedbackCounts | None = None
    saved_outfits: SavedCounts | None = None
    drift: Sequence[Drift] | None = None
    disk: Mapping[str, int] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """When the night began, for people; in UTC, as the schedule and the night's tag."""
        return f"{self.started.astimezone(UTC):%Y-%m-%d %H:%M} UTC"

    @property
    def idle(self) -> list[str]:
        """Stages that had nothing to do."""
        return [stage.stage for stage in self.stages if not stage.ran]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _seconds(outcome: Outcome) -> str:
    return "-" if outcome.verdict == "nothing new" else f"{outcome.seconds:.0f}"


def _index_line(index: dict[str, Any]) -> str:
    if not index:
        return "not built"
    metrics = ", ".join(f"{name} {value:.3f}" for name, value in index["candidate"].items() if isinstance(value, float))
    return f"release {index['version'] or '-'}, {index['verdict']}; {metrics}"


def _not_read(report: NightReport, step: str) -> str:
    return "not read: see the problems" if step in report.problems else "there is no database here"


def _judging_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """The differences that the verdicts rest on: whole half first, then the controls, then the slices."""
    rows = []
    for outcome in outcomes:
        judging = outcome.judging
        for beside, differences in {"champion": judging.get("champion"), **judging.get("controls", {})}.items():
            for name, difference in (differences or {}).items():
                cases = judging["sizes"].get(name, judging["cases"])
                unit = "" if name in judging["sizes"] else f" {judging['unit']}"
                rows.append(
                    f"| {outcome.model} | {name} | {beside} | {interval(difference)} | {difference['finding']} "
                    f"| {_number(difference['detectable'])} | {cases}{unit} |"
                )
    if not rows:
        return []
    return [
        "## Judging",
        "",
        "Challenger less champion, and less each control that needs no training, on the half of the test split that the metrics "
        "above do not come from: paired bootstrap, 95 % interval. A true gain of the size in the sixth column is found four "
        "times in five.",
        "",
        "| model | metric | beside | difference | finding | detectable | cases |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        *_average_lines(outcomes),
    ]


def _average_lines(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [
        f"- {outcome.model}, weights: {AverageRecord(**outcome.average)}" for outcome in outcomes if outcome.average
    ]
    return [*lines, ""] if lines else []


def to_markdown(report: NightReport, folder: Path) -> str:
    """Report as Markdown; picture links are relative to `folder`."""
    lines = [f"# Night of {report.title}", ""]
    lines += [
        f"Profile `{report.profile}`, {report.seconds:.0f} s, code `{report.git_commit[:12]}`, "
        f"data and models `{report.snapshot}`.",
        "",
    ]
    if report.problems:
        lines += ["## Problems", ""]
        for stage, problem in report.problems.items():
            lines += [f"- **{stage}**", "", *("      " + line for line in problem.splitlines()), ""]
    if report.notices:
        lines += ["## Notice", "", *(f"- {model}: {notice}" for model, notice in report.notices.items()), ""]
    lines += [
        "## Models",
        "",
        "| model | metric | champion | challenger | verdict | serves | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {outcome.model} | {outcome.metric} | {_number(outcome.champion)} | {_number(outcome.challenger)} | {outcome.verdict} "
        f"| {outcome.version or '-'} | {_seconds(outcome)} |"
        for outcome in report.outcomes
    ]
    lines += ["", *(f"- {outcome.model}: {'; '.join(outcome.reasons)}" for outcome in report.outcomes), ""]
    lines += _judging_lines(report.outcomes)
    lines += ["## Index", "", _index_line(report.index), "", "## Bentos", ""]
    lines += [f"- {service}: `{tag}`, answered" for service, tag in report.bentos.items()] or ["none built"]
    lines += ["", "## Stages", "", "| stage | seconds | |", "|---|---|---|"]
    lines += [
        f"| {stage.stage} | {stage.seconds:.0f} | {'' if stage.ran else 'nothing to do'} |" for stage in report.stages
    ]
    lines += ["", "## Feedback", "", str(report.feedback or _not_read(report, "feedback"))]
    if report.saved_outfits and report.saved_outfits.outfits:
        lines += ["", str(report.saved_outfits)]
    lines += [
        "",
        "## Drift",
        "",
        *(drift_lines(report.drift) if report.drift is not None else [_not_read(report, "predictions")]),
    ]
    if report.removed:
        lines += ["", "## Removed", "", *(f"- {line}" for line in report.removed)]
    lines += ["", "## Where to look", "", *(f"- {name}: {target}" for name, target in report.links.items())]
    if report.pictures:
        lines += ["", "## Pictures", ""]
        lines += [f"![{picture.stem}]({_relative(picture, folder)})" for picture in report.pictures]
    return "\n".join(lines) + "\n"


def to_json(report: NightReport) -> dict[str, Any]:
    """The report for programs. Keys are added in later versions and keep their meaning; `schema` counts other changes."""
    return {
        "schema": 1,
        "good": not report.problems,
        "profile": report.profile,
        "started": report.started.isoformat(timespec="seconds"),
        "seconds": round(report.seconds, 1),
        "flow_run_id": report.flow_run_id,
        "git_commit": report.git_commit,
        "snapshot": report.snapshot,
        "models": {outcome.model: outcome.as_dict() for outcome in report.outcomes},
        "stages": [stage.as_dict() for stage in report.stages],
        "index": report.index,
        "bentos": report.bentos,
        "notices": dict(report.notices),
        "removed": list(report.removed),
        "feedback": report.feedback.as_dict() if report.feedback else None,
        "saved_outfits": asdict(report.saved_outfits) if report.saved_outfits else None,
        "drift": None if report.drift is None else [drift.as_dict() for drift in report.drift],
        "disk": dict(report.disk),
        "problems": report.problems,
    }


def write_report(report: NightReport, folder: Path, name: str) -> None:
    """Write the report and `result.json` into the night's folder, and into `folder` as the latest ones."""
    for where, file in ((folder / name, REPORT), (folder, "latest.md")):
        write_text(where / file, to_markdown(report, where))
        write_json(where / RESULT, to_json(report))


def _relative(path: Path, folder: Path) -> str:
    return Path(os.path.relpath(path, folder)).as_posix()  # Path.relative_to cannot walk up in Python 3.11


def print_report(report: NightReport, console: Console) -> None:
    """The table that a night ends with on the terminal."""
    colours = {"promoted": "green", "failed": "red", "rejected": "red", "kept champion": "yellow"}
    # No vertical lines, so that it fits a terminal of 80 columns.
    table = Table(
        title=f"Aura, profile {report.profile}, night of {report.title}", title_justify="left",
        box=box.SIMPLE_HEAD, pad_edge=False, padding=0,
    )  # fmt: skip
    for name in ("model", "metric", "champion", "challenger", "verdict", "serves", "seconds"):
        table.add_column(
            name, justify="right" if name in {"champion", "challenger", "serves", "seconds"} else "left", no_wrap=True
        )
    for outcome in report.outcomes:
        table.add_row(
            outcome.model, outcome.metric, _number(outcome.champion), _number(outcome.challenger),
            f"[{colours.get(outcome.verdict, 'default')}]{outcome.verdict}[/]", outcome.version or "-", _seconds(outcome),
        )  # fmt: skip
    console.print(table)
    for outcome in report.outcomes:
        console.print(
            f"  {outcome.model}: {escape('; '.join(outcome.reasons))}", style="dim", highlight=False, soft_wrap=True
        )
    for model, notice in report.notices.items():
        console.print(f"[bold yellow]Notice[/]   {model}: {escape(notice)}", highlight=False, soft_wrap=True)
    console.print(f"[bold]Index[/]    {escape(_index_line(report.index))}", highlight=False, soft_wrap=True)
    feedback = str(report.feedback or _not_read(report, "feedback"))
    console.print(f"[bold]Feedback[/] {feedback}", highlight=False, soft_wrap=True)
    if moved := [drift for drift in report.drift or () if drift.finding.startswith("moved")]:
        told = "; ".join(f"{drift.endpoint} {drift.figure} {drift.finding} ({drift.values})" for drift in moved)
        console.print(f"[bold yellow]Drift[/]    {escape(told)}", highlight=False, soft_wrap=True)
    for service, tag in report.bentos.items():
        console.print(f"[bold]Bento[/]    {tag} ({service} answered)", highlight=False, soft_wrap=True)
    if report.idle:
        console.print(
            f"[bold]Nothing to do[/] in {len(report.idle)} of {len(report.stages)} stages: {', '.join(report.idle)}",
            soft_wrap=True,
        )
    for name, target in report.links.items():
        console.print(f"[bold]{name:<9}[/]{escape(target)}", highlight=False, soft_wrap=True)
    for stage, problem in report.problems.items():
        console.print(f"[bold red]Failed[/]   {stage}: {escape(problem)}", highlight=False)
    console.print(f"{report.seconds:.0f} seconds in all.")
