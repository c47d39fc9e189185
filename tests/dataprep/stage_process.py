"""A stage in a process of its own, for tests that kill it or take its disk away."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any


@contextmanager
def running(
    stage: Callable[..., Any], *arguments: Any, errors: Path = Path("/dev/null"), most_bytes: int | None = None
) -> Iterator[BaseProcess]:
    """The process of a stage; it is gone when the block ends.

    Args:
        errors: file that takes the process's error stream.
        most_bytes: writing a longer file fails, as on a full disk.
    """
    # Forked: everything is imported already.
    process = multiprocessing.get_context("fork").Process(target=_run, args=(stage, arguments, errors, most_bytes))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def _run(stage: Callable[..., Any], arguments: tuple[Any, ...], errors: Path, most_bytes: int | None) -> None:
    sys.stderr = errors.open("w", encoding="utf-8", buffering=1)
    # A parent that runs in the background leaves interrupts ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if most_bytes is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    stage(*arguments)


def wait_for(path: Path, process: BaseProcess) -> None:
    """Wait until the process has written a file."""
    deadline = time.monotonic() + 100
    while not path.exists():
        assert process.is_alive(), f"the process ended before it wrote {path}"
        assert time.monotonic() < deadline, f"no {path}"
        time.sleep(0.02)
