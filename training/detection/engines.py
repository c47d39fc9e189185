"""The engines of a new detector: its network as OpenVINO's graph, beside the weights, and what each precision is worth.

Made where the labelled photos are: the machine that serves has none, and asks for the same boxes on the smoke test's two photos
alone.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from aura.artifact import write_json
from inference.detection.detector import Detector
from inference.engines.choice import TORCH
from inference.engines.exported import COMPARED, GRAPH
from inference.engines.hardware import processor

_MOST_LOST = 0.005
"""AP50 on the validation split that an engine may lose against torch: less than half of what two seeds differ by."""
logger = logging.getLogger(__name__)


def export_engines(artifact: Path, torch_ap50: float, ap50: Callable[[Detector], float]) -> dict[str, float]:
    """Write the graph into an artifact, and which engines of this processor lose AP50 and must not serve it.

    Args:
        torch_ap50: on the validation split, as torch runs the network.
        ap50: the same of a detector that another engine runs.

    Returns:
        AP50 by engine; empty where OpenVINO is not installed, or does not know an operation of the network.
    """
    try:
        from inference.engines.openvino_detection import PRECISIONS, OpenVinoEngine, export, precisions
    except ImportError:
        logger.info("no engine is exported: OpenVINO is not installed")
        return {}
    detector = Detector.load(artifact)
    graph = artifact / GRAPH
    try:
        export(detector.network, detector.preprocess.height, detector.preprocess.width, graph)
    except Exception as error:  # a library of several million lines may refuse a network in its own ways
        logger.warning("no engine is exported: %r", error)
        shutil.rmtree(graph.parent, ignore_errors=True)  # half a graph would become part of the artifact
        return {}
    found = {TORCH: torch_ap50}
    for precision in precisions():
        found[PRECISIONS[precision]] = ap50(detector.run_by(OpenVinoEngine(graph, precision, processor().cores)))
    refused = [name for name, value in found.items() if value < torch_ap50 - _MOST_LOST]
    write_json(artifact / COMPARED, {"ap50": found, "refused": refused})
    return found
