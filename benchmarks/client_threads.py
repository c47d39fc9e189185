"""Clients of running services, one thread per service, that ask good requests while something happens."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

from benchmarks.hostile import GOOD, Good


class ClientThreads(ABC):
    """One client per service, each in a thread of its own, from the beginning of `with` to its end."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self.urls = urls
        self.ended = threading.Event()
        self._threads = [
            threading.Thread(target=self.ask, args=(urls[name], name, good)) for name, good in GOOD.items()
        ]

    @abstractmethod
    def ask(self, url: str, name: str, good: Good) -> None:
        """Ask a service good requests until `ended` is set."""

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        for thread in self._threads:
            thread.join()
