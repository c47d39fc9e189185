"""Which engine runs a network: the fastest on this machine of those that answer as they should.

That is as torch does, or as training found this engine to answer. Each is made, compared and timed, once per network, processor
and version of the libraries; the choice is kept in the cache folder. One that cannot be made, or answers otherwise, is left out
with a line in the log.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError
from aura.lineage import value_hash
from aura.module_process import run_module
from aura.paths import cache_dir
from aura.supervision import die_with
from inference.engines.hardware import processor

AUTO, TORCH = "auto", "torch"
_TIMED_SECONDS = 0.5
_NICE = 5
"""By how much those who choose beside a service give way to it."""
logger = logging.getLogger(__name__)


class Named(Protocol):
    """Any engine."""

    @property
    def name(self) -> str: ...


EngineType = TypeVar("EngineType", bound=Named)


@dataclass(frozen=True, kw_only=True)
class Choice(Generic[EngineType]):
    """The engines of one network.

    Attributes:
        what: is run, in one word for the log, for example `detector`.
        otherwise: what a wrong engine does, for example `finds other garments than it should`.
        folder: where graphs and the choice are kept; see `kept_folder`.
        torch: the engine that serves where no other may.
        makers: how each engine of this processor is made.
        differences: what an engine answers otherwise than it should, in words.
        seconds: least seconds per batch of an engine, by its size.
    """

    what: str
    otherwise: str
    folder: Path
    torch: EngineType
    makers: Callable[[], Mapping[str, Callable[[], EngineType]]]
    differences: Callable[[EngineType], Sequence[str]]
    seconds: Callable[[EngineType], Mapping[str, float]]

    def named(self, name: str) -> EngineType:
        """The engine of a name.

        Raises:
            ArtifactError: there is none on this processor, or it answers otherwise than it should.
        """
        makers = self.makers()
        if name not in makers:
            raise ArtifactError(
                f"there is no engine {name!r} on this processor",
                hint=f"serving.engine: {AUTO}, {TORCH} or {', '.join(makers)}",
            )
        made = makers[name]()
        if differences := self.differences(made):
            raise ArtifactError(
                f"the engine {name} {self.otherwise}: {differences[0]}",
                hint=f"set serving.engine to {TORCH}",
            )
        return made

    def kept(self) -> EngineType | None:
        """The engine that was chosen before; None where there is none that can run the network."""
        name = _read(self._file)
        if name == TORCH:
            return self.torch
        if name is None or name not in (makers := self.makers()):
            return None
        return self._made(name, makers[name])

    def chosen(self) -> EngineType:
        """The fastest engine of those that answer as they should; it is kept for the next start."""
        engines = {name: made for name, make in self.makers().items() if (made := self._made(name, make)) is not None}
        seconds = {name: self.seconds(engine) for name, engine in ({TORCH: self.torch} | engines).items()}
        # One caller's wait and many callers' throughput count alike.
        best = min(seconds, key=lambda name: float(np.prod(list(seconds[name].values()))))
        in_words = "; ".join(
            f"{name} {', '.join(f'{1000 * took:.1f} ms for {size}' for size, took in timed.items())}"
            for name, timed in seconds.items()
        )
        logger.info("the %s is run by %s: %s", self.what, best, in_words)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self._file, {"engine": best, "seconds": seconds, "processor": asdict(processor())})
        except OSError as error:
            logger.warning("the choice of an engine is not kept for the next start: %s", error)
        return engines.get(best, self.torch)

    def follow(self, use: Callable[[EngineType], None], module: str, argument: str) -> None:
        """Give the engine that was chosen to `use`, from a thread; else let another process choose: while torch's export traces a
        network, no other thread may run one.

        Args:
            module, argument: of the process, which must keep its choice.
        """

        def wait() -> None:
            if (engine := self.kept()) is None:
                done = run_module(module, argument)
                engine = self.kept()
                if engine is None:
                    logger.warning("no engine was chosen, torch goes on: %s", done.stderr[-500:])
                    return
            use(engine)

        threading.Thread(target=wait, name="choice of an engine", daemon=True).start()

    def _made(self, name: str, make: Callable[[], EngineType]) -> EngineType | None:
        try:
            engine = make()
            differences = self.differences(engine)
        except Exception as error:  # a library of several million lines may refuse a network in its own ways
            logger.warning("the engine %s cannot run this %s: %r", name, self.what, error)
            return None
        if differences:
            logger.warning("the engine %s %s, and is left out: %s", name, self.otherwise, differences[0])
            return None
        return engine

    @property
    def _file(self) -> Path:
        return self.folder / "choice.json"


def kept_folder(network_hash: str, libraries: Sequence[str]) -> Path:
    """Where the engines of a network are kept for this processor and the libraries' versions."""
    versions = {name: version(name) for name in libraries}
    return cache_dir() / "engines" / value_hash([network_hash, asdict(processor()), versions])[:32]


def least_seconds(run: Callable[[], object]) -> float:
    """Least seconds of one call, of those that fit into half a second."""
    run()
    end, least = time.perf_counter() + _TIMED_SECONDS, float("inf")
    while time.perf_counter() < end:
        began = time.perf_counter()
        run()
        least = min(least, time.perf_counter() - began)
    return least


def give_way() -> None:
    """Begin a process that chooses beside a service: at a low priority, for as long as the service lives."""
    die_with(os.getppid())
    os.nice(_NICE)


def _read(file: Path) -> str | None:
    try:
        content: Any = read_json(file, "the choice of an engine") if file.is_file() else {}
        engine = content.get("engine")
        return None if engine is None else str(engine)
    except (ArtifactError, AttributeError):
        logger.warning("chosen again: %s is damaged", file)
        return None
