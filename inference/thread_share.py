"""Several passes through torch at a time, each with its share of the processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from threadpoolctl import ThreadpoolController


@contextmanager
def share_of_threads(passes: int) -> Iterator[None]:
    """Compute in this thread with the threads that one of so many passes may take, at least one.

    The number of threads belongs to the thread that computes. `torch.set_num_threads` sets that of threads to come as well, which
    would keep a share for ever.
    """
    threads = torch.get_num_threads()  # asked first: torch sets a thread's number when the thread first uses it
    with _openmp().limit(limits=max(1, threads // passes)):
        yield


@cache
def _openmp() -> ThreadpoolController:
    return ThreadpoolController().select(user_api="openmp")
