"""Builds in separate processes, which die by SIGKILL at a write, or wait there.

    python writer_process.py pause FOLDER POINT             wait at POINT until FOLDER/continue exists
    python writer_process.py kill FOLDER STEP               die at points 2, 2 + STEP, ... in copies FOLDER-2, FOLDER-...

FOLDER holds `pages/`, `queries.jsonl`, `catalog/` and gets `index`. Writes are counted from 1; point 2n is just before
write n, point 2n + 1 just after it. `kill` ends when a build completes, and prints one point per line.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lancedb.db import LanceDBConnection
from lancedb.merge import LanceMergeInsertBuilder
from lancedb.table import LanceTable, Tags

from inference.retrieval.build import build_index
from inference.retrieval.settings import JudgeSettings, RetrievalSettings

SETTINGS = RetrievalSettings(
    batch_rows=3,
    writer_wait_s=0.2,
    judge=JudgeSettings(page_hit_at_3_floor=0.5, section_hit_at_3_floor=0.5, bootstrap_samples=100),
)


class WordEmbedder:
    """Hashed bag of words: as real to the index as any model, and ready in no time."""

    def __init__(self, dim: int = 64) -> None:
        self.dim = dim
        self.reference = f"words:{dim}"
        self.encoded: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.encoded.extend(texts)
        vectors = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            for token in text.lower().replace(".", " ").replace(",", " ").split():
                vectors[row, zlib.crc32(token.encode()) % self.dim] += 1.0
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


class WriteWatcher:
    """Counts everything that writes to Lance, and acts before or after one of the writes."""

    def __init__(self, stop_at: int, act: Callable[[], None]) -> None:
        self.count = 0
        self._stop_at = stop_at
        self._act = act

    def watch(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.count += 1
            here = 2 * self.count
            if here == self._stop_at:
                self._act()
            result = original(*args, **kwargs)
            if here + 1 == self._stop_at:
                self._act()
            return result

        setattr(owner, name, watched)


def build(folder: Path, **changes: Any) -> Any:
    settings = SETTINGS.model_copy(update=changes)
    paths = (folder / "index", folder / "pages", folder / "queries.jsonl", folder / "catalog")
    return build_index(settings, *paths, WordEmbedder())


def build_watched(folder: Path, point: int, act: Callable[[], None]) -> None:
    watcher = WriteWatcher(point, act)
    watcher.watch(LanceDBConnection, "create_table")
    watcher.watch(LanceMergeInsertBuilder, "execute")
    for name in ("add", "delete", "optimize", "create_index"):
        watcher.watch(LanceTable, name)
    for name in ("create", "update", "delete"):
        watcher.watch(Tags, name)
    build(folder)


def pause(folder: Path, point: int) -> None:
    def wait() -> None:
        (folder / "paused").touch()
        while not (folder / "continue").exists():
            time.sleep(0.01)

    build_watched(folder, point, wait)


def kill(folder: Path, step: int) -> None:
    # Forking saves each build the seconds that importing lancedb takes; this process itself never opens a database.
    for point in itertools.count(2, step):
        copy = folder.with_name(f"{folder.name}-{point}")
        shutil.copytree(folder, copy)
        child = os.fork()
        if child == 0:
            build_watched(copy, point, lambda: os.kill(os.getpid(), signal.SIGKILL))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            shutil.rmtree(copy)
            assert os.waitstatus_to_exitcode(status) == 0
            return
        print(point, flush=True)


if __name__ == "__main__":
    {"pause": pause, "kill": kill}[sys.argv[1]](Path(sys.argv[2]), int(sys.argv[3]))
