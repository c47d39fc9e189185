"""Run one stage of the pipeline in a subprocess, with its output in a log and on the caller's logger."""

from __future__ import annotations

import re
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Timer
from typing import Any

from aura.artifact import read_json
from aura.error_file import ERROR_FILE, read_error
from aura.errors import StageError, StageInterruptedError
from aura.supervision import stop_tree, watched
from flows.workspace import Workspace

_KEPT_LINES = 30
_UP = "\x1b[A"
"""Cursor movement of a tqdm bar below another bar."""
_BAR = re.compile(r"[^|]*\|[^|]*\|\s*[\d.]+\w?/[\d.?]+\w? \[[^\]]*\]|[^\[]*\d+it \[[^\]]*\]")
"""A state of a tqdm bar. A bar ends without a line break, so the next output may follow on the same line."""
_LOG_BYTES = 5_000_000
"""Size above which a log becomes `.log.1`. Attempts are appended, so that the log of a failed attempt is kept."""
_running: set[int] = set()
"""Process ids of the stages of this process's nights."""
_SAY_PROGRESS_SECONDS = 30.0
"""Seconds between two progress bars in the caller's log: minutes of silence look like a hang, every step is noise."""


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
        StageInterruptedError: another try may succeed: the stage ran out of time, was killed, ended without saying why,
            or reported a transient error.
        StageError: the stage reported an error that another try would meet again.
    """
    with tempfile.TemporaryDirectory(prefix="aura-stage-") as scratch:
        return _run(workspace, stage, Path(scratch), timeout_seconds=timeout_seconds, say=say, force=force)


def stop_running_stages() -> None:
    """End the stages that other threads of this process run; each is reported there as interrupted."""
    for pid in list(_running):
        stop_tree(pid, seconds=5)


def _run(
    workspace: Workspace, stage: str, scratch: Path, *, timeout_seconds: float, say: Callable[[str], None], force: bool
) -> StageResult:
    result, error_file = scratch / "result.json", scratch / "error.json"
    began = said = time.monotonic()
    log = workspace.paths.logs / f"{stage}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.is_file() and log.stat().st_size > _LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    tail: deque[str] = deque(maxlen=_KEPT_LINES)
    options = ["--result", str(result)] + ["--force"] * force
    # The outputs of these two lie outside the working copy, so DVC cannot restore an earlier result.
    options += ["--no-run-cache"] * (stage in {"index", "package"})
    command = watched("flows.dvc_stage", stage, *options)
    process = subprocess.Popen(
        command, cwd=workspace.folder, env=workspace.environment() | {ERROR_FILE: str(error_file)},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    expired = Event()

    def expire() -> None:
        expired.set()
        stop_tree(process.pid, seconds=5)

    timer = Timer(timeout_seconds, expire)
    timer.start()
    _running.add(process.pid)
    try:
        with log.open("a", encoding="utf-8") as stream:
            stream.write(f"== {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC {stage}\n")
            for line in process.stdout or ():
                stream.write(line)
                stream.flush()
                line = line.replace(_UP, "")
                bar = _BAR.match(line)
                text = line[bar.end() :].strip() if bar else line.rstrip()
                if text:
                    tail.append(text)
                elif bar and time.monotonic() - said > _SAY_PROGRESS_SECONDS:
                    text = line.strip()
                if text:
                    said = time.monotonic()
                    say(text)
        code = process.wait()
    finally:
        timer.cancel()
        stop_tree(process.pid, seconds=5)
        _running.discard(process.pid)
    if expired.is_set() or code:
        raise _failure(stage, code, timeout_seconds if expired.is_set() else None, error_file, "\n".join(tail), log)
    ran = bool(read_json(result, f"the result of stage {stage}")["ran"])
    return StageResult(stage=stage, ran=ran, seconds=round(time.monotonic() - began, 1))


def _failure(
    stage: str, code: int, expired_after_seconds: float | None, error_file: Path, end: str, log: Path
) -> StageError:
    """The error for a stage that did not end well."""
    reported = read_error(error_file) if expired_after_seconds is None else None
    if reported is not None:
        kind = StageInterruptedError if reported.transient else StageError
        hint = "; ".join(filter(None, [reported.hint, f"the whole log: {log}"]))
        return kind(f"stage {stage} failed: {reported.message}", hint=hint)
    reason = f"ended with code {code}"
    if expired_after_seconds is not None:
        reason = f"ran out of its {expired_after_seconds / 60:.0f} minutes"
    # Killed, out of memory or crashed: no error says that the inputs are wrong, so a retry may succeed.
    return StageInterruptedError(f"stage {stage} {reason}. The end of its output:\n{end}", hint=f"the whole log: {log}")
