"""The lock that admits one run of a profile at a time on this machine, and tells the next run when a run was killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock
from pydantic import BaseModel, ConfigDict, ValidationError

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError, BusyError
from aura.supervision import ENDED_AFTER_SECONDS

LOCK, HOLDER = "run.lock", ".holder.json"
_PROBE_SECONDS = 1.0
"""Seconds that a run waits for the lock, because `RunLock.holder` takes it for a moment to see whether it is free."""


class Holder(BaseModel):
    """Content of `.holder.json`."""

    model_config = ConfigDict(frozen=True)

    pid: int | None = None
    run_id: str = ""
    dead_run_id: str = ""


class RunLock:
    """The lock of a folder. The system frees it when the process that holds it dies."""

    def __init__(self, folder: Path, profile: str) -> None:
        self._folder, self._profile = folder, profile

    @contextmanager
    def held(
        self, run_id: str = "", say: Callable[[str], None] = lambda _: None, *, wait_seconds: float = 0.0
    ) -> Iterator[str]:
        """Hold the lock.

        Args:
            run_id: id of this run, for the next run if this one is killed; empty for a command, which keeps the trace of a
                killed run for the next run that has an id.
            say: takes what is waited for, for people.
            wait_seconds: seconds to wait while a command holds it, such as a backup or a maintenance; for a run nobody waits.

        Yields:
            `run_id` of the last run if it was killed; empty when it ended in order.

        Raises:
            BusyError: another run holds it, or a command for that long.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self._folder / LOCK)
        self._acquire(lock, wait_seconds, say)
        holder = self._folder / HOLDER
        try:
            died = ""
            if holder.is_file():
                left = self._read()
                died = left.run_id or left.dead_run_id
                time.sleep(ENDED_AFTER_SECONDS)  # DVC or a stage of that run may still be ending
            here = Holder(pid=os.getpid(), run_id=run_id, dead_run_id="" if run_id else died)
            write_json(holder, here.model_dump())
            yield died
        finally:
            if died and not run_id:
                write_json(holder, Holder(dead_run_id=died).model_dump())
            else:
                holder.unlink(missing_ok=True)
            lock.release()

    def _acquire(self, lock: filelock.BaseFileLock, wait_seconds: float, say: Callable[[str], None]) -> None:
        until, told = time.monotonic() + wait_seconds, None
        while True:
            try:
                lock.acquire(timeout=_PROBE_SECONDS)
                return
            except filelock.Timeout:
                holder = self._read()
                # One that has not said yet what it is, or no longer, is a command that ends or a run that begins: the next look
                # tells which.
                may_be_command = not holder.run_id
                if not (may_be_command and time.monotonic() < until):
                    raise BusyError(
                        f"another run of profile {self._profile!r} is under way (process {holder.pid or 'unknown'})",
                        hint="wait for it (`aura status`), or use another profile or AURA_HOME",
                    ) from None
                if told != holder.pid:
                    told = holder.pid
                    say(f"waiting for process {told}, which uses the working copy, {wait_seconds:.0f} s at most")

    def holder(self) -> int | None:
        """Process id of the run under way on this machine, or None."""
        if not (self._folder / LOCK).is_file():
            return None
        try:
            with filelock.FileLock(self._folder / LOCK).acquire(timeout=0):
                return None
        except filelock.Timeout:
            return self._read().pid  # None: the run is just beginning or ending

    def holders_run(self) -> str:
        """`run_id` of the run under way on this machine, or empty."""
        return self._read().run_id if self.holder() is not None else ""

    def _read(self) -> Holder:
        """What the holder wrote about itself; nothing before it wrote, or where a power cut left something else."""
        try:
            return Holder.model_validate(read_json(self._folder / HOLDER, "the holder of the run lock"))
        except (ArtifactError, ValidationError):
            return Holder()
