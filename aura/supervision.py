"""A stage must not outlive the run that started it.

DVC puts a shell between a run and its stage, so a signal to the run does not reach the stage, and `kill -9` cannot be
handled at all. Each stage therefore watches the process whose id the run left in the environment.
"""

from __future__ import annotations

import os
import threading
import time

import psutil

RUN_PID = "AURA_RUN_PID"
_POLL_SECONDS = 1.0


def die_with_parent() -> None:
    """End this process within about a second after the run in `AURA_RUN_PID` has ended; nothing without it."""
    pid = os.environ.get(RUN_PID)
    if not pid:
        return
    try:
        parent = psutil.Process(int(pid))
    except psutil.NoSuchProcess:
        os._exit(3)
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="run-watch").start()


def _watch(parent: psutil.Process) -> None:
    # is_running compares start times too, so a reused process id does not count as the run.
    while parent.is_running() and parent.status() != psutil.STATUS_ZOMBIE:
        time.sleep(_POLL_SECONDS)
    os._exit(3)
