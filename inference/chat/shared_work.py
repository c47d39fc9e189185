"""Work that threads need at the same time, done for all of them by the one that finds nobody, or too few, at it.

This is flat combining (Hendler et al., SPAA 2010): no thread of its own, and none waits for a lock while its result is there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable


def _always() -> bool:
    return True


class SharedWork:
    """A few threads at most work at a time; the others wait for what they do for them.

    Args:
        most: threads that work at a time.
    """

    def __init__(self, most: int = 1) -> None:
        self._changed = threading.Condition()
        self._most = most
        self._working = 0

    def until(self, done: Callable[[], bool], work: Callable[[], None], waits: Callable[[], bool] = _always) -> None:
        """Return when `done`, which is asked after every piece of work; does pieces while too few others do.

        Args:
            work: one piece, for all who wait; gives its errors to those whom they concern, and raises none.
            waits: whether nobody works yet at what the caller waits for; one whose own is under way begins no other piece, for
                which its result would wait.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: done() or (self._working < self._most and waits()))
                if done():
                    return
                self._working += 1
            try:
                work()
            finally:
                with self._changed:
                    self._working -= 1
                    self._changed.notify_all()
