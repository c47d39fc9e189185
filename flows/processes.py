"""Servers as child processes: a free port, waiting until one answers, stopping it with everything that it started."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from aura.errors import ServiceError, StartError
from aura.supervision import end_by_force, family_of
from flows.logs import last_lines


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port on which nothing listened a moment ago."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def require_free(host: str, port: int, what: str, setting: str) -> None:
    """Refuse a port that is in use: the process that answers there would be mistaken for the server to be started.

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


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float) -> None:
    """Wait until a GET of our own server answers 200; no proxy of the environment comes between.

    Raises:
        StartError: the process ended, or did not answer in time; carries the end of its log.
    """

    @retry(
        stop=stop_after_delay(seconds),
        wait=wait_fixed(0.3),
        retry=retry_if_exception_type(httpx.HTTPError),
        reraise=True,
    )
    def answers(client: httpx.Client) -> None:
        if process.poll() is not None:
            raise StartError(f"the server for {url} ended with code {process.returncode}:\n{last_lines(log)}")
        client.get(url).raise_for_status()

    try:
        with httpx.Client(timeout=5, trust_env=False) as client:  # each new one reads all certificates
            answers(client)
    except httpx.HTTPError as error:
        raise StartError(
            f"{url} did not answer within {seconds:.0f} seconds ({error}):\n{last_lines(log)}",
            hint=f"the whole log: {log}",
        ) from error


def stop(process: subprocess.Popen[bytes], seconds: float = 45) -> None:
    """Stop a server that has its own session, and everything that it started.

    Args:
        seconds: before it is ended by force; a service may take `serving.drain_seconds` to finish what it has begun.
    """
    if process.poll() is not None:
        return
    family = family_of(process.pid)
    # Signal the group only: BentoML's workers have their own sessions, and their supervisor would restart them.
    # Not SIGINT: background processes of a shell ignore it, and so do their children.
    os.killpg(process.pid, signal.SIGTERM)
    end_by_force(family, after_seconds=seconds)
    process.wait()
