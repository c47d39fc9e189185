"""A Prefect server for a run that has none: started here, on SQLite under the home folder, and stopped at the end.

`PREFECT_API_URL` names a server that runs elsewhere; then nothing is started. Import this before anything imports Prefect:
the library reads its environment at import.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from aura.errors import ServiceError, StartError
from aura.paths import home
from aura.supervision import end_by_force, family_of, watched, watched_environment


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that nothing listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def require_free(host: str, port: int, what: str, setting: str) -> None:
    """Refuse a port that somebody listens on: what answers there would be taken for the server about to be started.

    Raises:
        ServiceError: names the setting that moves the port.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that was closed a moment ago is free
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ServiceError(
                f"{what} cannot listen on {host}:{port}: {error.strerror}",
                hint=f"stop what answers there, or choose another: --set {setting}=PORT",
            ) from error


@contextmanager
def prefect_api(start_seconds: float) -> Iterator[str]:
    """URL of a Prefect API, with the environment of this process pointing to it.

    Args:
        start_seconds: how long a server that is started here may take to answer.
    """
    configured = os.environ.get("PREFECT_API_URL")
    if configured:
        yield configured
        return
    quiet = {
        "PREFECT_HOME": str(home() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": os.environ.get("PREFECT_LOGGING_LEVEL", "INFO"),
    }
    os.environ.update(quiet)
    log = home() / "logs" / "prefect-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    command = watched("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))
    with log.open("w", encoding="utf-8") as stream:
        server = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True, env=watched_environment()
        )
    try:
        wait_until_healthy(f"{url}/health", server, log, start_seconds)
        os.environ["PREFECT_API_URL"] = url
        yield url
    finally:
        _send_last_logs()
        os.environ.pop("PREFECT_API_URL", None)
        stop(server)


def _send_last_logs() -> None:
    """Prefect sends logs in the background; what is left when the server has gone would end as an error on the terminal."""
    if "prefect.logging.handlers" in sys.modules:
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Wait until a GET answers 200.

    Raises:
        StartError: the process ended, or did not answer in time; carries the end of its log.
    """

    @retry(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.3),
        retry=retry_if_exception_type(httpx.HTTPError),
        reraise=True,
    )
    def answers() -> None:
        if process.poll() is not None:
            raise StartError(f"the server for {url} ended with code {process.returncode}:\n{_tail(log)}")
        httpx.get(url, timeout=5).raise_for_status()

    try:
        answers()
    except httpx.HTTPError as error:
        raise StartError(
            f"{url} did not answer within {seconds:.0f} seconds ({error}):\n{_tail(log)}", hint=f"the whole log: {log}"
        ) from error


def stop(process: subprocess.Popen[bytes], seconds: float = 20) -> None:
    """End a server that was started in a session of its own, with everything that it started."""
    if process.poll() is not None:
        return
    family = family_of(process.pid)
    # Only the group is asked: BentoML's workers are in sessions of their own, and what leads them would start them anew.
    # Not SIGINT: what a shell starts in the background inherits that it is ignored, and so do its children.
    os.killpg(process.pid, signal.SIGTERM)
    end_by_force(family, after_seconds=seconds)
    process.wait()


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
