"""The services of a profile, started as a person starts them, for benchmarks that ask them over HTTP."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from aura.paths import repo_root
from flows.processes import free_port, stop, wait_until_healthy
from flows.services import SERVICES

_START_SECONDS = 300.0


@contextmanager
def served(
    profile: str, environment: Mapping[str, str] | None = None, *settings: str
) -> Iterator[tuple[dict[str, str], int]]:
    """URLs of the profile's running services by name, and the process that they all come from.

    Args:
        environment: variables besides those of this process.
        settings: overrides, as `aura serve --set` takes them.
    """
    ports = {name: free_port() for name in SERVICES}
    settings = (*settings, *(f"serving.ports.{name}={port}" for name, port in ports.items()))
    options = [part for setting in settings for part in ("--set", setting)]
    urls = {name: f"http://127.0.0.1:{port}{SERVICES[name].path}" for name, port in ports.items()}
    with tempfile.NamedTemporaryFile(prefix="aura-served-") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "flows.cli.app", "serve", "--profile", profile, *options],
            stdout=log, stderr=subprocess.STDOUT, start_new_session=True, cwd=repo_root(),
            env=os.environ | dict(environment or {}),
        )  # fmt: skip
        try:
            for name, url in urls.items():
                wait_until_healthy(SERVICES[name].health_url(url), server, Path(log.name), _START_SECONDS)
            yield urls, server.pid
        finally:
            stop(server)


def memory_of(pid: int) -> float:
    """Bytes that a process and all its descendants take; shared pages count in parts (Linux)."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        with suppress(psutil.Error):
            total += process.memory_full_info().pss
    return total
