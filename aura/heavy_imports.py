"""Imports of libraries that take seconds, without garbage collections in between.

`import lightning` makes a million objects that live as long as the process, and Python looks through them again and again in
search of garbage: a third of the time. At the start of a process, what was imported is left out of later collections too, the one
at the end included.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports(*, at_start: bool = False) -> Iterator[None]:
    """Put imports of large libraries inside, and no work.

    Args:
        at_start: nothing of the process's work exists yet, so that all objects may be left out of later collections. Cycles of
            what exists then are never collected: a model that is to be freed later must not be among it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if at_start:
            gc.freeze()
        if enabled:
            gc.enable()
