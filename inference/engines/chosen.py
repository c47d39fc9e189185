"""Which engine serves a detector: the fastest on this machine of those that find what they found in training, or what torch does.

How one is chosen: `inference.engines.choice`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from aura.artifact import content_hash
from inference.detection.detector import Detector
from inference.detection.smoke_test import SMOKE_TEST, found_in, photo_differences, photos_of
from inference.engines.choice import AUTO, TORCH, Choice, give_way, kept_folder, least_seconds
from inference.engines.detection import DetectionEngine
from inference.engines.exported import GRAPH, INT8_GRAPH, ComparedEngines, compared_engines
from inference.engines.hardware import processor
from inference.smoke_test import FOLDER

_BATCHES = (1, 8)
"""One caller, and as many as the service batches."""
_LIBRARIES = ("torch", "openvino", "transformers")


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
    choice = _choice(folder, detector)
    if engine != AUTO:
        return detector.run_by(choice.named(engine))
    if not in_background:
        detector.engine = choice.kept() or choice.chosen()
        return detector

    def use(made: DetectionEngine) -> None:
        detector.engine = made

    choice.follow(use, "inference.engines.chosen", str(folder))
    return detector


def _choice(folder: Path, detector: Detector) -> Choice[DetectionEngine]:
    kept = kept_folder(content_hash(folder), _LIBRARIES)
    compared = compared_engines(folder)
    pictures = _pictures(folder)
    return Choice(
        what="detector",
        otherwise="finds other garments than it should",
        folder=kept,
        torch=detector.engine,
        makers=lambda: _makers(detector, folder, kept, compared.refused),
        differences=lambda engine: _differences(detector, engine, folder, compared, pictures),
        seconds=lambda engine: _seconds(engine, np.stack([detector.preprocess.place(pictures[0])[0]])),
    )


def _makers(
    detector: Detector, folder: Path, kept: Path, refused: Sequence[str]
) -> dict[str, Callable[[], DetectionEngine]]:
    """How each engine is made that this processor has and training did not refuse."""
    try:
        from inference.engines.openvino_detection import engines, export
    except ImportError:
        return {}

    exported = folder / GRAPH
    graph = exported if exported.is_file() else kept / "network.xml"

    def make(engine: Callable[[], DetectionEngine]) -> DetectionEngine:
        if not graph.is_file():
            export(detector.network, detector.preprocess.height, detector.preprocess.width, graph)
        return engine()

    makers = engines(graph, folder / INT8_GRAPH, processor().cores)
    return {name: partial(make, engine) for name, engine in makers.items() if name not in refused}


def _differences(
    detector: Detector,
    engine: DetectionEngine,
    folder: Path,
    compared: ComparedEngines,
    pictures: Sequence[Image.Image],
) -> list[str]:
    """From what training found with the same engine; where it did not try this one, from what torch finds."""
    if (recorded := compared.found.get(engine.name)) is not None:
        return SMOKE_TEST.differences(recorded, found_in(detector.run_by(engine), photos_of(folder)))
    expected, found = (found_in(one, pictures) for one in (detector.run_by_torch(), detector.run_by(engine)))
    return [
        difference
        for number, (before, now) in enumerate(zip(expected, found, strict=True))
        for difference in photo_differences(f"picture {number}", before, now)
    ]


def _pictures(folder: Path) -> list[Image.Image]:
    """The photos of the artifact's smoke test, as they are, mirrored, upside down and cut."""
    found = []
    for photo in photos_of(folder) if (folder / FOLDER).is_dir() else ():
        width, height = photo.size
        parts = (photo.crop((0, 0, width, height // 2)), photo.crop((0, height // 3, width, height)))
        found += [photo, ImageOps.mirror(photo), ImageOps.flip(photo), *parts]
    return found


def _seconds(engine: DetectionEngine, canvas: np.ndarray) -> Mapping[str, float]:
    return {str(size): least_seconds(partial(engine, np.repeat(canvas, size, axis=0))) for size in _BATCHES}


def main() -> None:
    """Choose the engine of the artifact that is named."""
    give_way()
    load_for_serving(Path(sys.argv[1]), "cpu")


if __name__ == "__main__":
    main()
