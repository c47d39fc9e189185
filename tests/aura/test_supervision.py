"""A stage ends when the run that started it is killed, also with a shell between them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from aura.paths import repo_root
from aura.supervision import watched, watched_environment
from flows.processes import stop

_STAGE = "import time; from aura.supervision import die_with_parent; die_with_parent(); print('up', flush=True); time.sleep(600)"
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
_SERVER = """
import subprocess
from aura.supervision import watched, watched_environment
quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
server = subprocess.Popen(watched("http.server", "0"), env=watched_environment(), start_new_session=True, **quiet)
print(server.pid, flush=True)
server.wait()
"""


def start(script: str) -> tuple[subprocess.Popen[str], psutil.Process]:
    """A run, and the process of which it prints the id."""
    root = Path(__file__).resolve().parents[2]
    run = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"STAGE": _STAGE, "PYTHONPATH": str(root)},
    )
    assert run.stdout is not None
    return run, psutil.Process(int(run.stdout.readline()))


@pytest.mark.parametrize("script", [_RUN, _SERVER], ids=["stage", "server"])
def test_kill_nine_of_the_run_ends_what_it_started(script: str) -> None:
    run, started = start(script)
    assert started.is_running()
    os.kill(run.pid, signal.SIGKILL)
    run.wait()
    limit = time.monotonic() + 20
    while psutil.pid_exists(started.pid) and started.status() != psutil.STATUS_ZOMBIE and time.monotonic() < limit:
        time.sleep(0.2)
    assert not psutil.pid_exists(started.pid) or started.status() == psutil.STATUS_ZOMBIE


def test_a_stopped_server_takes_workers_in_sessions_of_their_own_along() -> None:
    """As BentoML's workers are: a signal to the process group does not reach them."""
    worker = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    server = (
        "import subprocess, sys; "
        f"one = subprocess.Popen([sys.executable, '-c', {worker!r}], start_new_session=True, stdout=subprocess.PIPE); "
        "one.stdout.readline(); print(one.pid, flush=True); one.wait()"
    )
    process = subprocess.Popen([sys.executable, "-c", server], stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    started = psutil.Process(int(process.stdout.readline()))
    stop(process, seconds=1)
    assert process.poll() is not None
    psutil.wait_procs([started], timeout=60)
    assert not started.is_running() or started.status() == psutil.STATUS_ZOMBIE


def test_a_worker_ends_with_its_server_though_the_run_lives_on(tmp_path: Path) -> None:
    """A worker that outlived its server would keep the port from the server that is started in its place."""
    (tmp_path / "server_with_worker.py").write_text(
        "import subprocess, sys\n"
        f"worker = subprocess.Popen([sys.executable, '-c', {_STAGE!r}], start_new_session=True, stdout=subprocess.PIPE)\n"
        "worker.stdout.readline()\n"
        "print(worker.pid, flush=True)\n"
        "worker.wait()\n",
        encoding="utf-8",
    )
    environment = watched_environment() | {"PYTHONPATH": os.pathsep.join((str(tmp_path), str(repo_root())))}
    server = subprocess.Popen(watched("server_with_worker"), stdout=subprocess.PIPE, env=environment)
    assert server.stdout is not None
    worker = psutil.Process(int(server.stdout.readline()))
    server.kill()
    server.wait()
    psutil.wait_procs([worker], timeout=30)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
