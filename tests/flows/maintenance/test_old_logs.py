"""Logs that nobody writes to go; a server that holds one open loses nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

from flows.logs import LOG_BYTES
from flows.maintenance.old_logs import tidy_logs

_DAY = 24 * 3600


def write(file: Path, text: str, days_ago: float) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    moment = time.time() - days_ago * _DAY
    os.utime(file, (moment, moment))
    return file


def test_old_logs_go_and_a_server_that_has_said_nothing_goes_on(tmp_path: Path) -> None:
    new = write(tmp_path / "sample" / "prepare.log", "new", 29)
    old = write(tmp_path / "sample" / "prepare.log.2", "old", 31)
    silent = write(tmp_path / "up" / "worker.log", "a month ago", 0)
    other = write(tmp_path / "up" / "notes.txt", "not a log", 99)
    with silent.open("a", encoding="utf-8") as server:
        os.utime(silent, (time.time() - 31 * _DAY,) * 2)
        assert tidy_logs(tmp_path, keep_days=30) == ["sample/prepare.log.2", "up/worker.log"]
        server.write("it speaks again")
    assert silent.read_text(encoding="utf-8") == "it speaks again"
    assert not old.exists()
    assert (new.read_text(encoding="utf-8"), other.exists()) == ("new", True)
    assert tidy_logs(tmp_path, keep_days=30) == []


def test_a_long_log_is_moved_aside(tmp_path: Path) -> None:
    long = write(tmp_path / "postgres.log", "x" * (LOG_BYTES + 1), 0)
    assert tidy_logs(tmp_path, keep_days=30) == []
    assert long.stat().st_size == 0
    assert (tmp_path / "postgres.log.1").stat().st_size == LOG_BYTES + 1


def test_no_logs_are_no_problem(tmp_path: Path) -> None:
    assert tidy_logs(tmp_path / "none", keep_days=30) == []
