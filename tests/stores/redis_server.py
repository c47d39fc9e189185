"""A real Redis on a free port, which a test may kill, freeze and start again."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from flows.processes import free_port, stop

_HANG_SECONDS = 60


class RedisServer:
    """Debian's `redis-server`; it keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *options: str) -> None:
        """Start it, empty, and wait until it answers."""
        self._process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", *options],
            cwd=self._folder, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        limit = time.monotonic() + _HANG_SECONDS
        with self.client() as client:
            while not self._answers(client):
                assert time.monotonic() < limit, "redis-server does not start"
                time.sleep(0.02)

    def client(self) -> Redis:
        return Redis.from_url(self.url, socket_timeout=_HANG_SECONDS)

    def kill(self) -> None:
        assert self._process is not None, "it runs"
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        """It accepts connections, as its kernel does for it, and answers nothing."""
        assert self._process is not None, "it runs"
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None, "it runs"
        self._process.send_signal(signal.SIGCONT)

    def end(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            stop(self._process)

    @staticmethod
    def _answers(client: Redis) -> bool:
        try:
            return bool(client.ping())
        except RedisError:
            return False


@contextmanager
def redis_server(folder: Path, *options: str) -> Iterator[RedisServer]:
    """A running Redis with these options of its command line, in a folder of the test."""
    server = RedisServer(folder)
    server.start(*options)
    try:
        yield server
    finally:
        server.end()
