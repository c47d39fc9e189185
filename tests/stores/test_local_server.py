"""The server of a home: it lasts, is private, is started again, and two processes share it."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from pathlib import Path

import psutil
import psycopg
import pytest

from aura.errors import DatabaseUnavailableError, StartError
from stores.local_server import LocalServer, _own_folder, serve
from stores.ready import wait_until_ready

pytestmark = pytest.mark.slow

SECONDS = 120.0


def postmaster(server: LocalServer) -> int:
    return int((server.folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        [number] = connection.execute("SELECT count(*) FROM kept").fetchone() or ()
    return int(number)


def test_what_was_written_is_there_after_a_kill_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    server = LocalServer(tmp_path / ("a home with a path that is longer than any socket may have " * 2) / "postgres")
    with server.running(SECONDS, tmp_path / "log") as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1")
        for folder in (server.folder / "data", server.sockets):
            assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0, folder
        first = postmaster(server)
        os.kill(first, signal.SIGKILL)
        wait_until(lambda: postmaster(server) != first)
        wait_until_ready(url, SECONDS)
        assert count(url) == 1
    assert not psutil.pid_exists(postmaster(server)) if (server.folder / "data/postmaster.pid").exists() else True
    with server.running(SECONDS, tmp_path / "log") as url:
        assert count(url) == 1


def test_two_processes_of_a_folder_take_turns(tmp_path: Path) -> None:
    server = LocalServer(tmp_path / "postgres")
    with server.running(SECONDS, tmp_path / "log") as url:
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1")
        first = postmaster(server)
        second = server.running(SECONDS, tmp_path / "log")
        url = second.__enter__()
        assert postmaster(server) == first
    try:
        wait_until_ready(url, SECONDS)
        assert count(url) == 1
        assert postmaster(server) != first
    finally:
        second.__exit__(None, None, None)


def test_a_killed_run_leaves_no_server(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, time; from stores.local_server import LocalServer\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with LocalServer(folder / 'postgres').running(120, folder / 'log'):\n"
        "    print('up', flush=True); time.sleep(600)"
    )
    import sys

    run = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"up\n"
    pid = postmaster(LocalServer(tmp_path / "postgres"))
    assert psutil.pid_exists(pid)
    run.kill()
    run.wait()
    wait_until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_data_of_another_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "PG_VERSION").write_text("9\n")
    with pytest.raises(StartError, match="program postgres of version 9 is not on this machine"):
        serve(tmp_path)
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["PG_VERSION"]


def test_a_folder_that_somebody_else_has_put_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sockets").mkdir(mode=0o777)
    (tmp_path / "sockets").chmod(0o777)
    with pytest.raises(StartError, match="is not a private folder"):
        _own_folder(tmp_path / "sockets")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StartError, match="is not a private folder"):
        _own_folder(tmp_path / "link")


def test_waiting_for_a_server_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailableError, match="nothing answers there"):
        wait_until_ready(f"postgresql:///aura?host={tmp_path}", 0.3)


def wait_until(holds: object) -> None:
    limit = time.monotonic() + SECONDS
    while not holds():  # type: ignore[operator]
        assert time.monotonic() < limit
        time.sleep(0.1)
