"""The report of a maintenance: one value object, as Markdown for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aura.artifact import write_json, write_text
from stores.table_health import TableHealth

REPORT, RESULT = "maintenance.md", "maintenance.json"
_MEGABYTE = 1e6


@dataclass(frozen=True, kw_only=True)
class MaintenanceReport:
    """What a maintenance found and did.

    Attributes:
        disk_before, disk_after: folder of the home to bytes on the disk.
        growth: folder to the median of the bytes that a night of the last week added; empty without two nights.
        tables: of the services' database, as they were found; None without a database.
        analyzed: tables whose statistics were made anew.
        removed: what was removed of what nights have left, one line per kind.
        sentences: part to what was found there.
        logs: that were removed or emptied.
        vulnerabilities: of installed packages, one line each.
        problems: part to what went wrong.
    """

    profile: str
    started: datetime
    seconds: float
    disk_before: Mapping[str, int]
    disk_after: Mapping[str, int]
    growth: Mapping[str, int]
    tables: Sequence[TableHealth] | None = None
    analyzed: Sequence[str] = ()
    removed: Sequence[str] = ()
    sentences: Mapping[str, str] = field(default_factory=dict)
    logs: Sequence[str] = ()
    vulnerabilities: Sequence[str] = ()
    problems: Mapping[str, str] = field(default_factory=dict)


def to_markdown(report: MaintenanceReport) -> str:
    lines = [f"# Maintenance of {report.started.astimezone(UTC):%Y-%m-%d %H:%M} UTC", ""]
    lines += [f"Profile `{report.profile}`, {report.seconds:.0f} s.", ""]
    for part, problem in report.problems.items():
        lines += [f"- **{part}**", "", *("      " + line for line in problem.splitlines()), ""]
    lines += _disk_lines(report)
    lines += ["## Database", "", *_table_lines(report), ""]
    lines += ["## Removed", ""]
    lines += [f"- {line}" for line in report.removed] or ["nothing that nights have left"]
    lines += [f"- logs: {', '.join(report.logs)}"] if report.logs else []
    lines += ["", "## Servers and packages", ""]
    lines += [f"- {part}: {sentence}" for part, sentence in report.sentences.items()]
    lines += [f"  - {line}" for line in report.vulnerabilities]
    return "\n".join(lines) + "\n"


def _disk_lines(report: MaintenanceReport) -> list[str]:
    lines = ["## Disk", "", "| folder | MB before | MB after | MB a night |", "|---|---|---|---|"]
    for folder in sorted(report.disk_after, key=lambda name: -report.disk_after[name]):
        grows = f"{report.growth[folder] / _MEGABYTE:+.1f}" if folder in report.growth else "-"
        before, after = (use.get(folder, 0) / _MEGABYTE for use in (report.disk_before, report.disk_after))
        lines.append(f"| {folder} | {before:.1f} | {after:.1f} | {grows} |")
    before, after = (sum(use.values()) / _MEGABYTE for use in (report.disk_before, report.disk_after))
    grows = f"{sum(report.growth.values()) / _MEGABYTE:+.1f}" if report.growth else "-"
    lines.append(f"| all | {before:.1f} | {after:.1f} | {grows} |")
    return [*lines, "", "MB a night: median of the recorded nights of the last seven days.", ""]


def _table_lines(report: MaintenanceReport) -> list[str]:
    if report.tables is None:
        return ["there is no database here"]
    lines = ["| table | rows | dead | dead, % | MB | statistics |", "|---|---|---|---|---|---|"]
    for table in report.tables:
        statistics = f"{table.statistics}, made anew" if table.table in report.analyzed else table.statistics
        lines.append(
            f"| {table.table} | {table.rows} | {table.dead} | {100 * table.dead_share:.0f} "
            f"| {table.size_bytes / _MEGABYTE:.1f} | {statistics} |"
        )
    return lines


def to_json(report: MaintenanceReport) -> dict[str, Any]:
    """The report for programs. Keys are added in later versions and keep their meaning; `schema` counts other changes."""
    values = asdict(report) | {"started": report.started.isoformat(timespec="seconds")}
    return {"schema": 1, "good": not report.problems} | values


def write_report(report: MaintenanceReport, folder: Path) -> None:
    """Write the report in place of the one before."""
    write_text(folder / REPORT, to_markdown(report))
    write_json(folder / RESULT, to_json(report))
