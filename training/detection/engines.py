"""The engines of a new detector: its network as OpenVINO's graphs, beside the weights, and what each engine is worth.

Made where the labelled photos are: the machine that serves has none, and asks for the same boxes on the smoke test's two photos
alone.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from inference.detection.detector import Detector
from inference.detection.smoke_test import drawn_photos, found_in
from inference.engines.choice import TORCH
from inference.engines.exported import GRAPH, INT8_GRAPH, ComparedEngines
from inference.engines.hardware import processor
from training.detection.int8 import quantise

_MOST_LOST = 0.005
"""AP50 on the validation split that an engine may lose against torch: less than half of what two seeds differ by."""
logger = logging.getLogger(__name__)


def export_engines(
    artifact: Path, torch_ap50: float, ap50: Callable[[Detector], float], canvases: Sequence[np.ndarray]
) -> dict[str, float]:
    """Write the graphs into an artifact, what their engines find, and which of them lose AP50 and must not serve it.

    Args:
        torch_ap50: on the validation split, as torch runs the network.
        ap50: the same of a detector that another engine runs.
        canvases: of photos for training, uint8 (height, width, 3); the ranges of int8 are read off them.

    Returns:
        AP50 by engine; empty where OpenVINO is not installed, or does not know an operation of the network.
    """
    try:
        from inference.engines.openvino_detection import INT8, engines, export
    except ImportError:
        logger.info("no engine is exported: OpenVINO is not installed")
        return {}
    detector = Detector.load(artifact)
    graph, int8_graph = artifact / GRAPH, artifact / INT8_GRAPH
    try:
        export(detector.network, detector.preprocess.height, detector.preprocess.width, graph)
    except Exception as error:  # a library of several million lines may refuse a network in its own ways
        logger.warning("no engine is exported: %r", error)
        shutil.rmtree(graph.parent, ignore_errors=True)  # half a graph would become part of the artifact
        return {}
    try:
        quantise(graph, int8_graph, canvases)
    except Exception as error:  # as above
        logger.warning("no engine in int8: %r", error)
        _remove(int8_graph)
    makers = engines(graph, int8_graph, processor().cores)
    measured, found = {TORCH: torch_ap50}, {}
    for name, make in makers.items():
        try:
            served = detector.run_by(make())
            measured[name] = ap50(served)
            if measured[name] >= torch_ap50 - _MOST_LOST:
                found[name] = found_in(served, drawn_photos())
        except Exception as error:  # as above
            logger.warning("the engine %s cannot run this detector: %r", name, error)
    refused = [name for name in makers if name not in found]
    if INT8 in refused:
        _remove(int8_graph)
    ComparedEngines(ap50=measured, refused=refused, found=found).write(artifact)
    return measured


def _remove(graph: Path) -> None:
    for file in (graph, graph.with_suffix(".bin")):
        file.unlink(missing_ok=True)
