"""A stage ends when the run that started it is killed, also with a shell between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

_STAGE = "import time; from aura.supervision import die_with_parent; die_with_parent(); print('up', flush=True); time.sleep(60)"
_RUN = """
import os, subprocess, sys
os.environ["AURA_RUN_PID"] = str(os.getpid())
stage = subprocess.Popen(["sh", "-c", f'"{sys.executable}" -c "$STAGE"; true'], stdout=subprocess.PIPE, text=True)
stage.stdout.readline()
shell = stage.pid
import psutil
print(psutil.Process(shell).children()[0].pid, flush=True)
stage.wait()
"""


def test_kill_nine_of_the_run_ends_the_stage() -> None:
    root = Path(__file__).resolve().parents[2]
    run = subprocess.Popen(
        [sys.executable, "-c", _RUN],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"STAGE": _STAGE, "PYTHONPATH": str(root)},
    )
    assert run.stdout is not None
    stage = psutil.Process(int(run.stdout.readline()))
    assert stage.is_running()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    limit = time.monotonic() + 20
    while psutil.pid_exists(stage.pid) and stage.status() != psutil.STATUS_ZOMBIE and time.monotonic() < limit:
        time.sleep(0.2)
    assert not psutil.pid_exists(stage.pid) or stage.status() == psutil.STATUS_ZOMBIE
