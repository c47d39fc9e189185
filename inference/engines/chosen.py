"""Which engine serves a detector: the fastest on this machine of those that answer as torch does.

Each is made, compared with torch on pictures and timed, once per artifact, processor and version of the libraries; the choice
is kept in the cache folder. One that cannot be made, or finds other garments, is left out with a line in the log.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from aura.artifact import content_hash, read_json, write_json
from aura.errors import ArtifactError
from aura.lineage import value_hash
from aura.paths import cache_dir
from aura.supervision import die_with
from inference.detection.detector import Detector
from inference.detection.smoke_test import LEAST_SCORE, PHOTOS, SMOKE_TEST, photos_of
from inference.engines.detection import DetectionEngine
from inference.engines.exported import GRAPH, refused_engines
from inference.engines.hardware import processor
from inference.smoke_test import FOLDER

AUTO, TORCH = "auto", "torch"
_BATCHES = (1, 8)
"""One caller, and as many as the service batches."""
_TIMED_SECONDS = 0.5
_NICE = 5
"""By how much those who choose beside a service give way to it."""
_LIBRARIES = ("torch", "openvino", "transformers")
logger = logging.getLogger(__name__)
Make = Callable[[], DetectionEngine]


def load_for_serving(folder: Path, device: str, engine: str = AUTO, *, in_background: bool = False) -> Detector:
    """The detector of an artifact, run by the engine that is wanted.

    Args:
        engine: `auto`, or the name of one. On a GPU it is always torch.
        in_background: torch runs the detector at once, and until the engine is made; a release that is followed waits for torch
            alone, which takes a sixth of the time.

    Raises:
        ArtifactError: as `Detector.load`; or the engine that was named cannot serve this artifact.
    """
    detector = Detector.load(folder, device)
    if engine == TORCH or not device.startswith("cpu"):
        return detector
    if engine != AUTO:
        return detector.run_by(_named(folder, detector, engine))
    kept = _folder(folder)
    pictures, choice = _pictures(folder), kept / "choice.json"
    if not in_background:
        makers = _makers(detector, folder, kept)
        if not _take_choice(detector, makers, pictures, choice):
            detector.engine = _chosen(detector, makers, pictures, choice)
        return detector

    def follow_choice() -> None:
        """Take the engine that was chosen; else choose in another process: while torch's export traces a network, no other thread
        may run one."""
        makers = _makers(detector, folder, kept)
        if _take_choice(detector, makers, pictures, choice):
            return
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-m", "inference.engines.chosen", str(folder)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if not _take_choice(detector, makers, pictures, choice):
            logger.warning("no engine was chosen, torch goes on: %s", done.stderr[-500:])

    threading.Thread(target=follow_choice, name="choice of an engine", daemon=True).start()
    return detector


def _take_choice(detector: Detector, makers: Mapping[str, Make], pictures: Sequence[Image.Image], choice: Path) -> bool:
    """Let the engine run the detector that was chosen before; False where there is none that can."""
    name = _read_choice(choice)
    if name is None or name == TORCH:
        return name == TORCH
    made = _made(name, makers[name], detector, pictures) if name in makers else None
    if made is not None:
        detector.engine = made
    return made is not None


def _named(folder: Path, detector: Detector, name: str) -> DetectionEngine:
    makers = _makers(detector, folder, _folder(folder))
    if name not in makers:
        raise ArtifactError(
            f"there is no engine {name!r} on this processor",
            hint=f"serving.engine: {AUTO}, {TORCH} or {', '.join(makers)}",
        )
    made = makers[name]()
    if differences := _differences(detector, made, _pictures(folder)):
        raise ArtifactError(
            f"the engine {name} finds other garments than torch: {differences[0]}",
            hint=f"set serving.engine to {TORCH}",
        )
    return made


def _chosen(
    detector: Detector, makers: Mapping[str, Make], pictures: Sequence[Image.Image], choice: Path
) -> DetectionEngine:
    """The fastest engine of those that find what torch finds; it is kept in the file `choice`."""
    torch_engine = detector.engine
    engines = {
        name: made for name, make in makers.items() if (made := _made(name, make, detector, pictures)) is not None
    }
    canvas = np.stack([detector.preprocess.place(pictures[0])[0]])
    seconds = {TORCH: _seconds(torch_engine, canvas)} | {
        name: _seconds(engine, canvas) for name, engine in engines.items()
    }
    # One caller's wait and many callers' throughput count alike.
    best = min(seconds, key=lambda name: float(np.prod(list(seconds[name].values()))))
    in_words = "; ".join(
        f"{name} {', '.join(f'{1000 * took:.1f} ms for {size}' for size, took in timed.items())}"
        for name, timed in seconds.items()
    )
    logger.info("the detector is run by %s: %s", best, in_words)
    try:
        choice.parent.mkdir(parents=True, exist_ok=True)
        write_json(choice, {"engine": best, "seconds": seconds, "processor": asdict(processor())})
    except OSError as error:
        logger.warning("the choice of an engine is not kept for the next start: %s", error)
    return engines.get(best, torch_engine)


def _made(name: str, make: Make, detector: Detector, pictures: Sequence[Image.Image]) -> DetectionEngine | None:
    try:
        engine = make()
        differences = _differences(detector, engine, pictures)
    except Exception as error:  # a library of several million lines may refuse a network in its own ways
        logger.warning("the engine %s cannot run this detector: %r", name, error)
        return None
    if differences:
        logger.warning("the engine %s finds other garments than torch, and is left out: %s", name, differences[0])
        return None
    return engine


def _makers(detector: Detector, folder: Path, kept: Path) -> dict[str, Make]:
    """How each engine is made that this processor has and training did not refuse."""
    try:
        from inference.engines.openvino_detection import PRECISIONS, OpenVinoEngine, export, precisions
    except ImportError:
        return {}

    refused = refused_engines(folder)
    exported = folder / GRAPH
    graph = exported if exported.is_file() else kept / "network.xml"

    def make(precision: str) -> DetectionEngine:
        if not graph.is_file():
            export(detector.network, detector.preprocess.height, detector.preprocess.width, graph)
        return OpenVinoEngine(graph, precision, processor().cores)

    names = {precision: PRECISIONS[precision] for precision in precisions()}
    return {name: partial(make, precision) for precision, name in names.items() if name not in refused}


def _differences(detector: Detector, engine: DetectionEngine, pictures: Sequence[Image.Image]) -> list[str]:
    """What an engine finds otherwise than torch, in words."""
    expected, found = (
        [
            [{"category": box.category.value, "score": box.score, "box": box.box_xyxy_px} for box in boxes]
            for boxes in one.predict(pictures, threshold=LEAST_SCORE)
        ]
        for one in (detector, detector.run_by(engine))
    )
    return [
        difference
        for before, now in zip(expected, found, strict=True)
        for difference in SMOKE_TEST.differences([before] * len(PHOTOS), [now] * len(PHOTOS))
    ]


def _pictures(folder: Path) -> list[Image.Image]:
    """The photos of the artifact's smoke test, as they are, mirrored, upside down and cut."""
    found = []
    for photo in photos_of(folder) if (folder / FOLDER).is_dir() else ():
        width, height = photo.size
        parts = (photo.crop((0, 0, width, height // 2)), photo.crop((0, height // 3, width, height)))
        found += [photo, ImageOps.mirror(photo), ImageOps.flip(photo), *parts]
    return found


def _seconds(engine: DetectionEngine, canvas: np.ndarray) -> dict[str, float]:
    """Least seconds per batch, by its size."""
    return {str(size): _least_seconds(engine, np.repeat(canvas, size, axis=0)) for size in _BATCHES}


def _least_seconds(engine: DetectionEngine, canvases: np.ndarray) -> float:
    engine(canvases)
    end, least = time.perf_counter() + _TIMED_SECONDS, float("inf")
    while time.perf_counter() < end:
        began = time.perf_counter()
        engine(canvases)
        least = min(least, time.perf_counter() - began)
    return least


def main() -> None:
    """Choose the engine of the artifact that is named, at a low priority."""
    die_with(os.getppid())
    os.nice(_NICE)
    load_for_serving(Path(sys.argv[1]), "cpu")


def _folder(artifact: Path) -> Path:
    """Where the engines of an artifact are kept for this processor and these libraries."""
    libraries = {name: version(name) for name in _LIBRARIES}
    identity = value_hash([content_hash(artifact), asdict(processor()), libraries])[:32]
    return cache_dir() / "engines" / identity


def _read_choice(file: Path) -> str | None:
    try:
        content: Any = read_json(file, "the choice of an engine") if file.is_file() else {}
        engine = content.get("engine")
        return None if engine is None else str(engine)
    except (ArtifactError, AttributeError):
        logger.warning("chosen again: %s is damaged", file)
        return None


if __name__ == "__main__":
    main()
