"""A served Bento takes commands from the account that serves it alone."""

from __future__ import annotations

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
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


def _entered_by_others(socket: Path, top: Path) -> bool:
    """Whether another account that reaches `top` can reach a socket below it."""
    return all(stat.S_IMODE(folder.stat().st_mode) & stat.S_IXOTH for folder in socket.parents if top in folder.parents)


def test_only_the_services_port_is_open_and_no_socket_is_open_to_other_accounts(tmp_path: Path, own_temp: Path) -> None:
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
        answer = httpx.post(f"http://127.0.0.1:{port}/double", json={"number": 21}, timeout=60, trust_env=False)
        assert answer.json() == 42
        family = family_of(server.pid)
        connections = [found for process in family for found in process.net_connections("all")]
        assert {found.laddr for found in connections if found.status == psutil.CONN_LISTEN} == {("127.0.0.1", port)}
        sockets = {
            Path(found.laddr) for found in connections if isinstance(found.laddr, str) and os.path.exists(found.laddr)
        }
        assert {socket.parent.name.rpartition("-")[0] for socket in sockets} == {"aura-circus", "bentoml-uds"}
        assert not [socket for socket in sockets if _entered_by_others(socket, own_temp)]
    finally:
        stop(server)
    assert not list(own_temp.glob("aura-circus-*"))
