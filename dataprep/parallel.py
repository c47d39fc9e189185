"""Reading many files in a few processes that never outlive the import that started them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from aura.errors import DataError
from aura.supervision import die_with

Work = TypeVar("Work")
Result = TypeVar("Result")
_CHUNK = 8


def in_processes(function: Callable[[Work], Result], work: Sequence[Work], workers: int) -> Iterator[Result]:
    """Results in the order of `work`; with one worker everything runs in this process.

    Raises:
        DataError: a process was killed from outside, most often for want of memory.
    """
    if workers == 1:
        yield from map(function, work)
        return
    # Spawned: a fork would copy the state and the locks of the progress bar's thread.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _follow, (os.getpid(),))
    try:
        yield from pool.map(function, work, chunksize=_CHUNK)
    except BrokenProcessPool as error:
        raise DataError(
            "a process that read photos was killed, probably because memory ran out",
            hint="set data.imports.workers=1, or free memory, and import again",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _follow(parent: int) -> None:
    # The parent handles a keyboard interrupt; the worker watches the parent, because a killed parent cannot stop it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
