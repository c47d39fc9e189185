"""Nothing that a run starts may outlive it.

DVC puts a shell between a run and its stage, so a signal to the run does not reach the stage, and `kill -9` cannot be
handled at all. Each stage therefore watches the process whose id the run left in the environment. A third-party server
is started through this module, which watches on its behalf:

    python -m aura.supervision bentoml serve ...

Workers of such a server watch the server (the services in `bentos/` do): they have their own sessions, and would outlive a
server that is killed.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

import psutil

RUN_PID = "AURA_RUN_PID"
_POLL_SECONDS = 1.0
ENDED_AFTER_SECONDS = 3.0
"""Seconds after which nothing that a killed run started is alive."""


def die_with_parent() -> None:
    """End this process, and what it has started, within about a second after the run in `AURA_RUN_PID` has ended.

    Does nothing without that variable.
    """
    pid = os.environ.get(RUN_PID)
    if pid:
        die_with(int(pid))


def die_with(pid: int) -> None:
    """End this process, and what it has started, within about a second after another process has ended."""
    try:
        parent = psutil.Process(pid)
    except psutil.NoSuchProcess:
        os._exit(3)
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="run-watch").start()


def _watch(parent: psutil.Process) -> None:
    # is_running compares start times too, so a reused process id does not count as the run.
    while _alive(parent):
        time.sleep(_POLL_SECONDS)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os._exit(3)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # reaped between the two questions
        return False


def stop_tree(pid: int, seconds: float) -> None:
    """Terminate a process and everything that it started, also where a signal reached the process alone."""
    family = family_of(pid)
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    end_by_force(family, after_seconds=seconds)


def end_by_force(family: Sequence[psutil.Process], after_seconds: float) -> None:
    """Wait for processes to end, and kill those that have not."""
    for process in psutil.wait_procs(family, timeout=after_seconds)[1]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def family_of(pid: int) -> list[psutil.Process]:
    """A process and everything that it started; empty when it has gone.

    Take it before anything is stopped: a child whose parent has gone cannot be found any more.
    """
    try:
        top = psutil.Process(pid)
        return [*top.children(recursive=True), top]
    except psutil.NoSuchProcess:
        return []


def watched(*module: str) -> list[str]:
    """Command that runs a Python module with its arguments until this process ends; give it `watched_environment()`."""
    return [sys.executable, "-m", "aura.supervision", *module]


def watched_environment() -> dict[str, str]:
    """Environment of a command from `watched`."""
    return os.environ | {RUN_PID: str(os.getpid())}


if __name__ == "__main__":
    die_with_parent()
    # What a server starts ends with the server: workers that outlived it would keep its port from the one that follows it.
    os.environ[RUN_PID] = str(os.getpid())
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
