"""Logs of servers are appended to and moved aside, also under a writer that holds them open."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flows.logs import KEPT, LOG_BYTES, last_lines, open_log, rotate

WRITER = "import sys\nfor line in sys.stdin: print(line.strip(), flush=True)"


def test_a_second_start_appends(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "server.log"
    for number in (1, 2):
        with open_log(log) as stream:
            stream.write(b"start %d\n" % number)
    assert log.read_text(encoding="utf-8") == "start 1\nstart 2\n"
    assert last_lines(log, 1) == "start 2"
    assert last_lines(tmp_path / "none.log") == ""
    assert last_lines(tmp_path / f"{'x' * 300}.log") == "", "an error is told without what cannot be read"


def test_a_long_log_is_moved_aside_at_a_start_and_the_oldest_goes(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    for number in range(KEPT + 2):
        with open_log(log) as stream:
            stream.write(b"start %d\n" % number + b"x" * LOG_BYTES)
    begins = [
        file.read_bytes()[:7] for file in (log, *(tmp_path / f"server.log.{older}" for older in range(1, KEPT + 1)))
    ]
    assert begins == [b"start %d" % number for number in range(KEPT + 1, 0, -1)]
    assert len(list(tmp_path.iterdir())) == KEPT + 1


def test_a_server_goes_on_in_the_emptied_log(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with open_log(log) as stream:
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=stream, text=True, bufsize=1
        )
    assert writer.stdin is not None
    for text in ("before", "after"):
        writer.stdin.write(text + "\n")
        while text not in log.read_text(encoding="utf-8"):
            assert writer.poll() is None
        if text == "before":
            rotate(log, limit_bytes=100)
            assert "before" in log.read_text(encoding="utf-8"), "it is short yet"
            rotate(log, limit_bytes=3)
    writer.stdin.close()
    writer.wait(timeout=60)
    assert log.read_bytes() == b"after\n", "without a hole where the old lines were"
    assert (tmp_path / "server.log.1").read_bytes() == b"before\n"
