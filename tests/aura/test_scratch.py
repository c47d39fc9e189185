"""Folders for unfinished work: gone at the end, and cleaned up after a process that was killed in one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from aura.paths import repo_root
from aura.scratch import scratch_folder

_WORKER = """
import sys, time
from pathlib import Path
from aura.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1]), ".download-") as folder:
    (folder / "half").write_text("half")
    print("ready", flush=True)
    time.sleep(600)
"""


def worker(folder: Path) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(repo_root())}
    process = subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(folder)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_nothing_is_left_at_the_end(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "new", ".work-") as folder:
        (folder / "file").touch()
    assert list((tmp_path / "new").iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_works_in_is_not(tmp_path: Path) -> None:
    dead, alive = worker(tmp_path), worker(tmp_path)
    dead.send_signal(signal.SIGKILL)
    dead.wait()
    (tmp_path / ".download-of-an-older-version").mkdir()
    try:
        assert len(list(tmp_path.iterdir())) == 3
        with scratch_folder(tmp_path, ".download-") as folder:
            [working] = [path for path in tmp_path.iterdir() if path != folder.parent]
            assert (working / "work" / "half").read_text() == "half"
    finally:
        alive.kill()
        alive.wait()
    with scratch_folder(tmp_path, ".download-"):
        assert len(list(tmp_path.iterdir())) == 1


def test_in_a_folder_that_a_person_chose_only_marked_ones_are_removed(tmp_path: Path) -> None:
    kept = tmp_path / ".aura-restore-mine"
    kept.mkdir()
    (kept / "thesis.txt").write_text("all of it")
    with scratch_folder(tmp_path, ".aura-restore-", marked_only=True):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]
    assert (kept / "thesis.txt").read_text() == "all of it"
