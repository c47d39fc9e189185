"""A week by the clock: a night a day on schedule, with callers at the services, and the maintenance at its end.

    python -m benchmarks.week [--nights 7] [--page docs/benchmarks/week.md] [--keep FOLDER]

Each night is a run that the daily schedule of a real Prefect server makes and a worker carries out; the schedule is set ahead to
the next minute, and the clock that names nights is a day further each time. Each draws other data (another seed), so that all
three models are trained and judged anew. Small are the data, the models and what the policy keeps, so that a week is long enough
to reach what it allows.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from aura.artifact import write_text
from aura.paths import profile_paths, repo_root
from benchmarks.machine import machine
from benchmarks.running_services import served
from benchmarks.webhook import Webhook
from benchmarks.week_platform import CountedClients, Scheduled, left_over, scheduled
from flows.alerts import ENDED
from flows.clock import DAYS_AHEAD
from flows.maintenance.report import RESULT as MAINTENANCE
from flows.report import RESULT
from tests.inference.chat.tiny_base import save_tiny_base
from tests.small_night import SMALL

PROFILE = "sample"
_SHORT = ("detection.max_epochs=2", "outfits.max_epochs=1")
"""What so little training is worth does not matter here: that it happens every night does."""
_POLICY = ("night.keep_nights=2", "night.keep_rejected=0", "night.keep_champions=0", "night.keep_bentos=1")
_FULL_AFTER = 5
"""Nights after which the policy lets as much go as a night adds: champion, previous, challenger and their nights are there."""
MAY_ADD_MB = 10.0
"""A night may add so much beyond what the policy lets go: what nights leave for good (metrics, lineage, history, reports)."""
_NIGHT_SECONDS = 3600.0
_MESSAGE_SECONDS = 1200.0
"""Prefect tells of a scheduled run that ends within five minutes of its start a quarter of an hour later (docs/scheduled.md)."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """A night, as its operator finds it in the morning.

    Attributes:
        name: of the folder of its report.
        run: name of its run on Prefect's page.
        state: in which its run has ended.
        reports: new folders of reports.
        messages: to the webhook that name the run; -1 until the end of the week.
        disk_mb: what the home took at its end.
        answers: of the services meanwhile, by status.
        left_over: processes that outlived it.
    """

    name: str
    run: str
    state: str
    result: dict[str, Any]
    reports: int
    messages: int
    disk_mb: float
    answers: Counter[str]
    left_over: list[str]

    def problems(self) -> list[str]:
        failed = {status: count for status, count in self.answers.items() if status != "200"}
        return [
            problem
            for problem in (
                self.state != "COMPLETED" and f"ended as {self.state}",
                not self.result.get("good") and f"problems: {self.result.get('problems')}",
                self.reports != 1 and f"{self.reports} reports",
                self.messages != 1 and f"{self.messages} messages",
                failed and f"answers: {failed}",
                self.left_over and f"left over: {self.left_over}",
            )
            if problem
        ]


class Week:
    """The home and its platform.

    Args:
        settings: overrides of every night and of the services.
    """

    def __init__(self, platform: Scheduled, settings: Sequence[str], place: Path) -> None:
        self._platform, self._settings, self._place = platform, settings, place
        self._reports = profile_paths(PROFILE).reports
        self._seen: set[str] = set()
        self._clients: CountedClients | None = None
        self._services: list[int] = []

    @contextmanager
    def services(self) -> Iterator[None]:
        """Services that clients ask, while this is held."""
        with served(PROFILE, None, *self._settings) as (urls, pid), CountedClients(urls) as clients:
            self._clients, self._services = clients, [pid]
            yield
            self._clients, self._services = None, []

    def night(self, number: int) -> Day:
        """The night of a day of the week, from 0."""
        answered = self._answers()
        overrides = [*self._settings, f"seed={100 + number}"]
        run = self._platform.run("nightly", overrides, {DAYS_AHEAD: str(number)}, _NIGHT_SECONDS)
        new = {folder.name for folder in self._reports.glob("night-*/")} - self._seen
        self._seen |= new
        result = json.loads((self._reports / RESULT).read_text(encoding="utf-8"))
        return Day(
            name=max(new, default="none"), run=run["name"], state=run["state_type"], result=result,
            reports=len(new), messages=-1, disk_mb=sum(result["disk"].values()) / 1e6,
            answers=self._answers() - answered, left_over=self._left_over(),
        )  # fmt: skip

    def maintenance(self, number: int) -> tuple[str, dict[str, Any], list[str]]:
        """State of the run, its report as JSON, and processes that outlived it."""
        overrides = [*self._settings, "maintenance.audit=false", "maintenance.wait_minutes=10"]
        run = self._platform.run("maintenance", overrides, {DAYS_AHEAD: str(number)}, _NIGHT_SECONDS)
        return (
            run["state_type"],
            json.loads((self._reports / MAINTENANCE).read_text(encoding="utf-8")),
            self._left_over(),
        )

    def missed(self, nights: int) -> list[str]:
        """Runs that were due and did not end well, or were never made."""
        states = self._platform.states("nightly")
        return [] if states == {"COMPLETED": nights} else [f"runs by state: {dict(states)}"]

    def _answers(self) -> Counter[str]:
        return Counter(self._clients.answers) if self._clients else Counter()

    def _left_over(self) -> list[str]:
        return left_over([*self._platform.pids, *self._services], self._place)


def told(days: Sequence[Day], webhook: Webhook) -> list[Day]:
    """The days with their messages, once each has one or the time is over."""
    limit = time.monotonic() + _MESSAGE_SECONDS
    while len(webhook.messages) < len(days) and time.monotonic() < limit:
        time.sleep(1)
    time.sleep(5)  # for a second one, which must not come
    return [replace(day, messages=sum(day.run in message for message in webhook.messages)) for day in days]


def growth(days: Sequence[Day]) -> list[float]:
    """Megabytes that each night but the first added to the home."""
    return [after.disk_mb - before.disk_mb for before, after in pairwise(days)]


def judged(days: Sequence[Day], missed: Sequence[str], messages: Sequence[str]) -> list[str]:
    """What was not as it must be."""
    problems = [f"{day.name}: {problem}" for day in days for problem in day.problems()]
    problems += missed
    if len({day.name[:14] for day in days}) < len(days):
        problems.append(f"not a night a day: {', '.join(day.name for day in days)}")
    problems += [f"message: {message}" for message in messages if not message.startswith(ENDED)]
    if len(messages) != len(days):
        problems.append(f"{len(messages)} messages for {len(days)} nights")
    for day, added in zip(days[_FULL_AFTER:], growth(days)[_FULL_AFTER - 1 :], strict=True):
        if added > MAY_ADD_MB:
            problems.append(f"{day.name}: added {added:.1f} MB, more than {MAY_ADD_MB:g}")
    return problems


def page(days: Sequence[Day], maintenance: dict[str, Any], problems: Sequence[str], minutes: float) -> str:
    lines = [
        "# A week, simulated",
        "",
        f"Written by `python -m benchmarks.week --nights {len(days)}` on {machine()}, in {minutes:.0f} minutes. Each night is "
        "a run of the real schedule; the clock that names nights is a day further each time. Each draws other data. Small are "
        f"the data, the models and what stays: {', '.join(f'`{setting}`' for setting in _POLICY)}.",
        "",
        "| night | seconds | promoted | home, MB | added, MB | reports | messages | answers | failed |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for day, added in zip(days, [None, *growth(days)], strict=True):
        promoted = [name for name, model in day.result["models"].items() if model["verdict"] == "promoted"]
        failed = sum(count for status, count in day.answers.items() if status != "200")
        lines.append(
            f"| {day.name} | {day.result['seconds']:.0f} | {', '.join(promoted) or '-'} | {day.disk_mb:.1f} "
            f"| {'-' if added is None else f'{added:+.1f}'} | {day.reports} | {day.messages} | {day.answers['200']} | {failed} |"
        )
    bound = (
        f"A night after the first {_FULL_AFTER} may add {MAY_ADD_MB:g} MB."
        if len(days) > _FULL_AFTER
        else f"Too few nights to judge what a night adds for good: the policy is full after {_FULL_AFTER}."
    )
    lines += ["", f"The services start after the first night. {bound}", "", "## Where it goes", ""]
    folders = sorted({folder for day in days for folder in day.result["disk"]})
    lines += [f"| folder, MB | {' | '.join(day.name[6:14] for day in days)} |", f"|---|{'---|' * len(days)}"]
    for folder in folders:
        sizes = [day.result["disk"].get(folder, 0) / 1e6 for day in days]
        if max(sizes) >= 1:
            lines.append(f"| {folder} | {' | '.join(f'{size:.1f}' for size in sizes)} |")
    lines += ["", "## Maintenance", ""]
    before, after = (sum(maintenance[key].values()) / 1e6 for key in ("disk_before", "disk_after"))
    grows = sum(maintenance["growth"].values()) / 1e6
    lines += [f"{before:.1f} MB before, {after:.1f} after; median growth a night {grows:+.1f} MB."]
    lines += [f"{part}: {sentence}." for part, sentence in maintenance["sentences"].items()]
    lines += ["", "## Problems", "", *([f"- {problem}" for problem in problems] or ["none"])]
    return "\n".join(lines) + "\n"


def live(nights: int, place: Path) -> tuple[list[Day], dict[str, Any], list[str]]:
    """Live through the week in a home; returns the days, the report of the maintenance, and what was wrong."""
    os.environ["AURA_HOME"] = str(place)
    settings = (*SMALL, *_SHORT, *_POLICY, f"chat.base={save_tiny_base(place / 'base')}")
    webhook = Webhook()
    with ExitStack() as stack:
        platform = stack.enter_context(scheduled())
        platform.aura("alerts", "--url", webhook.url, "--every-night")
        week = Week(platform, settings, place)
        days = [week.night(0)]
        _say(days[0])
        with week.services():
            for number in range(1, nights):
                days.append(week.night(number))
                _say(days[-1])
            state, report, strangers = week.maintenance(nights - 1)
        days = told(days, webhook)
        problems = judged(days, week.missed(nights), webhook.messages)
        problems += [f"maintenance ended as {state}: {report['problems']}"] if state != "COMPLETED" else []
        problems += [f"left over after the maintenance: {stranger}" for stranger in strangers]
    problems += [f"left over at the end: {stranger}" for stranger in left_over([], place)]
    webhook.close()
    return days, report, problems


def _say(day: Day) -> None:
    print(
        f"{day.name}: {day.state}, {day.result['seconds']:.0f} s, {day.disk_mb:.1f} MB, {dict(day.answers)}, "
        f"left over: {day.left_over}, problems: {day.result.get('problems')}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nights", type=int, default=7)
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "week.md")
    parser.add_argument("--keep", type=Path, help="folder that becomes the home, and stays")
    options = parser.parse_args()
    began = time.monotonic()
    with ExitStack() as stack:
        place = options.keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="aura-week-")))
        days, report, problems = live(options.nights, place.resolve())
    written = page(days, report, problems, (time.monotonic() - began) / 60)
    write_text(options.page, written)
    print(written)
    if problems:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
