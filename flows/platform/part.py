"""One supervised process of `aura up`, before it becomes the program that it is for:

    python -m flows.platform.part FILE

`FILE` is a `Part` as JSON. What an earlier process of this part has left running is ended first: nginx's workers outlive a master
that is killed, and keep its ports. And the process asks to be ended with its supervisor, also where that is killed.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import BaseModel

from aura.paths import repo_root
from aura.supervision import RUN_PID

_SET_PARENT_DEATH_SIGNAL, SET_CHILD_SUBREAPER = 1, 36
"""Numbers of Linux's prctl(2)."""


class Part(BaseModel):
    """A program to keep running.

    Attributes:
        health_url: answers a GET with 2xx when it can work; empty: nobody asks.
        is_service: whether callers get no answer without its group.
        group: parts of one group stand in for each other.
        priority: lower ones are started first, and stopped last.
        stop_seconds: seconds to end by itself.
    """

    name: str
    command: list[str]
    environment: dict[str, str] = {}
    health_url: str = ""
    is_service: bool = False
    group: str
    priority: int
    stop_seconds: int = 15


def prctl(option: int, value: int) -> None:
    """Tell Linux something about this process; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main() -> None:
    file = Path(sys.argv[1])
    part = Part.model_validate_json(file.read_text(encoding="utf-8"))
    group = file.with_suffix(".group")
    if group.is_file():
        _end_group(int(group.read_text()))
    group.write_text(str(os.getpgid(0)))
    prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGTERM)
    os.chdir(repo_root())
    os.execvpe(part.command[0], part.command, os.environ | {RUN_PID: str(os.getppid())} | part.environment)


def _end_group(number: int) -> None:
    """End what is left of a process group: children of the same supervisor, which has taken them over."""
    for process in psutil.Process(os.getppid()).children():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if process.pid != os.getpid() and os.getpgid(process.pid) == number:
                process.kill()
                process.wait(5)


if __name__ == "__main__":
    main()
