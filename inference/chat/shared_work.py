"""Work that threads need at the same time, done for all of them by the one that finds nobody at it.

This is flat combining (Hendler et al., SPAA 2010): no thread of its own, and none waits for a lock while its result is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class SharedWork:
    """At most one thread works at a time; the others wait for what it does for them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._working = False

    def until(self, done: Callable[[], bool], work: Callable[[], None]) -> None:
        """Return when `done`, which is asked after every piece of work; does pieces while nobody else does.

        Args:
            work: one piece, for all who wait; gives its errors to those whom they concern, and raises none.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: done() or not self._working)
                if done():
                    return
                self._working = True
            try:
                work()
            finally:
                with self._changed:
                    self._working = False
                    self._changed.notify_all()
