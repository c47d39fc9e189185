"""A detector in OpenVINO: its network as OpenVINO's graph, for processors.

The graph is made from PyTorch's trace of the network, in fp32, and holds the normalisation. bf16 is a property of its
compilation, where the processor multiplies in it; weights and graph stay the same.
"""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch

from inference.engines.detection import OnCanvases, RawDetections
from inference.engines.openvino_graphs import export_graph, infer_request, openvino_core

PRECISIONS = {"f32": "openvino", "bf16": "openvino-bf16"}
"""OpenVINO's names of the precisions, and those of the engines."""
_BF16 = "BF16"
_MOST_IMAGES = 1024
"""In a batch of the graph; it must have a limit."""


class OpenVinoEngine:
    """See `inference.engines.detection.DetectionEngine`.

    Args:
        graph: file that `export` has written.
        precision: `f32` or `bf16`.
        threads: cores that one batch takes.
    """

    def __init__(self, graph: Path, precision: str, threads: int) -> None:
        self.name = PRECISIONS[precision]
        self._request = infer_request(graph, precision, threads)
        self._lock = threading.Lock()

    def __call__(self, canvases: np.ndarray) -> RawDetections:
        with self._lock:
            found = self._request.infer({0: canvases}, share_inputs=True)
            # Copies: the next answer is written to the same memory.
            logits, boxes = (torch.from_numpy(np.array(found[place], dtype=np.float32)) for place in (0, 1))
        return RawDetections(logits, boxes)


def precisions() -> list[str]:
    """Precisions that this processor multiplies in."""
    able = openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return ["f32", *(["bf16"] if _BF16 in able else [])]


def export(network: OnCanvases, height: int, width: int, graph: Path) -> None:
    """Write the graph of a network for batches of any size; whole or not at all.

    Raises:
        Exception: OpenVINO does not know an operation of the network.
    """
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=_MOST_IMAGES)
    export_graph(network, (example,), ({0: batch},), graph)
