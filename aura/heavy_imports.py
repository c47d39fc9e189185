"""Imports of libraries that take seconds, without garbage collections in between.

`import lightning` makes a million objects that live as long as the process, and Python looks through them again and again in
search of garbage: a third of the time. What was imported is left out of later collections too, the one at the end included.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def heavy_imports() -> Iterator[None]:
    """Put imports of large libraries inside, and no work: objects that exist at its end are never collected."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
