"""Servers side by side, each on its own: one that cannot start, or ends, is started again, and the others live on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread

import httpx

from aura.creation import creating
from aura.errors import BusyError, StartError
from aura.paths import repo_root
from flows.logs import last_lines, open_log, rotate
from flows.processes import stop

_LOOK_SECONDS = 0.5
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 300.0


@dataclass(frozen=True, kw_only=True)
class Server:
    """A server to keep running.

    Attributes:
        health_url: answers a GET with 2xx when the server can work.
        page: address that people are told.
        store: SQLite file that the server makes if it is missing; no other process opens it until the server has answered.
    """

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    health_url: str
    page: str
    store: Path | None = None


class _EndedError(Exception):
    """A server ended, or all are stopped, before it answered."""


class _Keeper(Thread):
    """Runs one server, again and again, until `stopping`.

    Attributes:
        tried: set when the first start has succeeded or failed.
        problem: why it failed; empty when it succeeded.
    """

    def __init__(
        self, server: Server, start_seconds: float, say: Callable[[str], None], pause_seconds: float, stopping: Event
    ) -> None:
        super().__init__(name=server.name)
        self.tried = Event()
        self.problem = ""
        self._server, self._start_seconds, self._say = server, start_seconds, say
        self._pause_seconds, self._stopping = pause_seconds, stopping

    def run(self) -> None:
        pause = self._pause_seconds
        try:
            while not self._stopping.is_set():
                if self._run_once():
                    pause = self._pause_seconds
                self._stopping.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        finally:  # also when this thread fails: somebody waits
            if not self.tried.is_set():
                self.problem = f"{self.name} is not kept running"
            self.tried.set()

    def _run_once(self) -> bool:
        """Run the server until it ends or all are stopped; returns whether it answered meanwhile."""
        server, process, answered = self._server, None, False
        try:
            with creating(server.store, self._start_seconds) if server.store else nullcontext():
                process = self._spawned()
                self._wait_for_answer(process)
            answered = True
            self._say(f"{server.name}: {server.page}")
            self.tried.set()
            while self._lives(process):
                pass
        except (OSError, BusyError) as error:
            self._failed(f"cannot start: {error}")
            return False
        except _EndedError:
            pass
        finally:
            if process is not None:
                code = process.poll()
                stop(process)
        if not self._stopping.is_set():
            self._failed(f"ended with code {code}, and is started again")
        return answered

    def _spawned(self) -> subprocess.Popen[bytes]:
        server = self._server
        with open_log(server.log) as log:
            return subprocess.Popen(
                server.command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True, env=server.environment,
                cwd=repo_root(),
            )  # fmt: skip

    def _wait_for_answer(self, process: subprocess.Popen[bytes]) -> None:
        """Raises _EndedError: it never will answer."""
        expected_at, reported = time.monotonic() + self._start_seconds, False
        with httpx.Client(timeout=5, trust_env=False) as client:  # each new one reads all certificates
            while not _answers(client, self._server.health_url):
                if not reported and time.monotonic() > expected_at:
                    reported = True
                    self._failed(f"has not answered within {self._start_seconds:.0f} seconds, and goes on starting")
                if not self._lives(process):
                    raise _EndedError

    def _lives(self, process: subprocess.Popen[bytes]) -> bool:
        """Look after a running server for a moment; False when it has ended, or all are stopped."""
        with suppress(OSError):  # a full disk must not end the server whose log it is
            rotate(self._server.log)
        return process.poll() is None and not self._stopping.wait(_LOOK_SECONDS)

    def _failed(self, what: str) -> None:
        message = f"{self._server.name} {what}. The end of {self._server.log}:\n{last_lines(self._server.log)}"
        if not self.tried.is_set():
            self.problem = message
        self._say(message)
        self.tried.set()


class KeepRunning:
    """Starts servers, and starts them again when they end, until `stop`.

    Args:
        start_seconds: seconds within which a server is expected to answer; a slower one is reported, and goes on starting.
        say: takes a text for people.
        pause_seconds: seconds before a server that ended is started again; doubled each time that it ends without having
            answered, up to five minutes.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        start_seconds: float,
        say: Callable[[str], None],
        pause_seconds: float = _PAUSE_SECONDS,
    ) -> None:
        self._stopping = Event()
        self._keepers = [_Keeper(server, start_seconds, say, pause_seconds, self._stopping) for server in servers]

    def start(self) -> None:
        """Start all servers; returns when each has answered, or is known not to.

        Raises:
            StartError: none of them answers.
        """
        for keeper in self._keepers:
            keeper.start()
        for keeper in self._keepers:
            keeper.tried.wait()
        if all(keeper.problem for keeper in self._keepers):
            names = ", ".join(keeper.name for keeper in self._keepers)
            raise StartError(f"nothing answers of: {names}", hint="the logs named above say why")

    @property
    def problems(self) -> list[str]:
        """Why servers did not answer at their first start, for those that did not."""
        return [keeper.problem for keeper in self._keepers if keeper.problem]

    def wait(self) -> None:
        """Wait until all servers are stopped; Ctrl+C ends it with a KeyboardInterrupt."""
        self._stopping.wait()

    def stop(self) -> None:
        """Stop all servers with everything that they started."""
        self._stopping.set()
        for keeper in self._keepers:
            if keeper.is_alive():
                keeper.join()


def _answers(client: httpx.Client, health_url: str) -> bool:
    try:
        return client.get(health_url).is_success
    except httpx.HTTPError:
        return False
