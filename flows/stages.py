"""Run one stage of the pipeline in a subprocess, with its output in a log and on the caller's logger."""

from __future__ import annotations

import re
import subprocess
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from threading import Event, Timer
from typing import Any

from aura.errors import StageError
from aura.supervision import stop_tree, watched
from flows.workspace import Workspace

_KEPT_LINES = 30
_UP = "\x1b[A"
"""A tqdm bar below another one moves the cursor."""
_BAR = re.compile(r"[^|]*\|[^|]*\|\s*[\d.]+\w?/[\d.?]+\w? \[[^\]]*\]|[^\[]*\d+it \[[^\]]*\]")
"""A state of a tqdm bar. What is printed next may stand on the same line, for the bar itself ends without one."""
_ADVICE = re.compile(r"To track the changes with git|\s+git add |To enable auto staging|\s+dvc config |Use `dvc push`")
"""What DVC tells a person to do next; the night does it."""
_LOG_BYTES = 5_000_000
"""From here on a log is put aside as `.log.1`: attempts are appended, as the failed one is what a person looks for."""
_SAY_PROGRESS_SECONDS = 30.0
"""A progress bar becomes a line of the log so often: minutes of silence look like a hang, every step like noise."""


@dataclass(frozen=True, kw_only=True)
class StageResult:
    """How a stage went; `ran` is False when nothing that it depends on had changed."""

    stage: str
    ran: bool
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run_stage(
    workspace: Workspace, stage: str, *, timeout_seconds: float, say: Callable[[str], None] = print, force: bool = False
) -> StageResult:
    """Let DVC bring a stage up to date.

    Raises:
        StageError: the stage failed or ran out of time; the message carries the end of its output.
    """
    began = said = time.monotonic()
    log = workspace.paths.logs / f"{stage}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.is_file() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    tail: deque[str] = deque(maxlen=_KEPT_LINES)
    options = ["--single-item"] + ["--force"] * force
    # What these two make lies outside the working copy, so that DVC cannot bring an earlier result of theirs back.
    options += ["--no-run-cache"] * (stage in {"index", "package"})
    command = watched("dvc", "repro", *options, stage)
    process = subprocess.Popen(
        command, cwd=workspace.folder, env=workspace.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    )  # fmt: skip
    expired = Event()

    def expire() -> None:
        expired.set()
        stop_tree(process.pid, seconds=5)

    timer = Timer(timeout_seconds, expire)
    timer.start()
    try:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"== {datetime.now():%Y-%m-%d %H:%M:%S} {stage}\n")
            for line in process.stdout or ():
                stream.write(line)
                stream.flush()
                line = line.replace(_UP, "")
                bar = _BAR.match(line)
                words = line[bar.end() :].strip() if bar else line.rstrip()
                if _ADVICE.match(words):
                    continue
                if words:
                    tail.append(words)
                elif bar and time.monotonic() - said > _SAY_PROGRESS_SECONDS:
                    words = line.strip()
                if words:
                    said = time.monotonic()
                    say(words)
        code = process.wait()
    finally:
        timer.cancel()
        stop_tree(process.pid, seconds=5)
    if expired.is_set() or code:
        reason = f"ran out of its {timeout_seconds / 60:.0f} minutes" if expired.is_set() else f"ended with code {code}"
        end = "\n".join(tail)
        raise StageError(f"stage {stage} {reason}. The end of its output:\n{end}", hint=f"the whole log: {log}")
    unchanged = any("didn't change, skipping" in line for line in tail)
    return StageResult(stage=stage, ran=not unchanged, seconds=round(time.monotonic() - began, 1))
