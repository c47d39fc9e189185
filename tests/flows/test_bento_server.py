"""A served Bento takes commands from the account that serves it alone, and ends no idle connection before its caller does."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import psutil
import pytest

from aura.paths import repo_root
from aura.supervision import family_of, watched
from flows.package import bento_environment
from flows.processes import free_port, stop, wait_until_healthy


@pytest.fixture
def own_temp() -> Iterator[Path]:
    """A folder for temporary files that everybody can enter, with a path that leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(prefix="t-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def _entered_by_others(path: Path, top: Path) -> bool:
    """Whether another account that reaches `top` can reach a socket below it."""
    return all(stat.S_IMODE(folder.stat().st_mode) & stat.S_IXOTH for folder in path.parents if top in folder.parents)


class _UnixConnection(HTTPConnection):
    """To a service's runner."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(str(self._path))


def _doubled(connection: HTTPConnection) -> object:
    connection.request("POST", "/double", json.dumps({"number": 21}), {"Content-Type": "application/json"})
    return json.loads(connection.getresponse().read())


def test_its_connections_last_and_its_sockets_are_closed_to_other_accounts(tmp_path: Path, own_temp: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    command = watched(
        "flows.bento_server", "serve", "tests.flows.tiny_service:Tiny", "--host", "127.0.0.1", "--port", str(port)
    )
    with log.open("w", encoding="utf-8") as stream:
        server = subprocess.Popen(
            command, env=bento_environment() | {"TMPDIR": str(own_temp)}, cwd=repo_root(),
            stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}/readyz", server, log, 300)
        family = family_of(server.pid)
        connections = [found for process in family for found in process.net_connections("all")]
        assert {found.laddr for found in connections if found.status == psutil.CONN_LISTEN} == {("127.0.0.1", port)}
        paths = {
            Path(found.laddr) for found in connections if isinstance(found.laddr, str) and os.path.exists(found.laddr)
        }
        (runner,) = (path for path in paths if path.parent.name.startswith("bentoml-uds"))
        callers = HTTPConnection("127.0.0.1", port, timeout=60), _UnixConnection(runner)
        for connection in callers:
            assert _doubled(connection) == 42
            connection.auto_open = False
        time.sleep(6)  # BentoML's own servers close them after 5
        for connection in callers:
            assert _doubled(connection) == 42
        assert {path.parent.name.rpartition("-")[0] for path in paths} == {"aura-circus", "bentoml-uds"}
        assert not [path for path in paths if _entered_by_others(path, own_temp)]
    finally:
        stop(server)
    assert not list(own_temp.glob("aura-circus-*"))
