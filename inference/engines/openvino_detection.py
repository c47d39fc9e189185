"""A detector in OpenVINO: its network as OpenVINO's graph, for processors.

The graph is made from PyTorch's trace of the network, in fp32, and holds the normalisation. bf16 is a property of its
compilation, where the processor multiplies in it; weights and graph stay the same.
"""

from __future__ import annotations

import logging
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aura.heavy_imports import heavy_imports
from inference.engines.detection import OnCanvases, RawDetections

PRECISIONS = {"f32": "openvino", "bf16": "openvino-bf16"}
"""OpenVINO's names of the precisions, and those of the engines."""
_BF16 = "BF16"
_MOST_IMAGES = 1024
"""In a batch of the graph; it must have a limit."""
logger = logging.getLogger(__name__)


class OpenVinoEngine:
    """See `inference.engines.detection.DetectionEngine`.

    Args:
        graph: file that `export` has written.
        precision: `f32` or `bf16`.
        threads: cores that one batch takes.
    """

    def __init__(self, graph: Path, precision: str, threads: int) -> None:
        self.name = PRECISIONS[precision]
        core = _core()
        options = {
            "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads,
        }  # fmt: skip
        self._request = core.compile_model(core.read_model(graph), "CPU", options).create_infer_request()
        self._lock = threading.Lock()

    def __call__(self, canvases: np.ndarray) -> RawDetections:
        with self._lock:
            found = self._request.infer({0: canvases}, share_inputs=True)
            # Copies: the next answer is written to the same memory.
            logits, boxes = (torch.from_numpy(np.array(found[place], dtype=np.float32)) for place in (0, 1))
        return RawDetections(logits, boxes)


def precisions() -> list[str]:
    """Precisions that this processor multiplies in."""
    able = _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["f32", *(["bf16"] if _BF16 in able else [])]


def export(network: OnCanvases, height: int, width: int, graph: Path) -> None:
    """Write the graph of a network for batches of any size; whole or not at all.

    Raises:
        Exception: OpenVINO does not know an operation of the network.
    """
    with heavy_imports():
        import openvino

    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=_MOST_IMAGES)
    with torch.no_grad():
        program = torch.export.export(network, (example,), dynamic_shapes=({0: batch},), strict=False)
        model = openvino.convert_model(program)
    graph.parent.mkdir(parents=True, exist_ok=True)
    unfinished = graph.with_name(f"{graph.stem}.{os.getpid()}{graph.suffix}")
    openvino.save_model(model, unfinished, compress_to_fp16=False)
    unfinished.with_suffix(".bin").replace(graph.with_suffix(".bin"))  # weights first: the graph says that all is there
    unfinished.replace(graph)


def _core() -> Any:
    with heavy_imports():
        import openvino

    return openvino.Core()
