"""A detector in OpenVINO: its network as OpenVINO's graph, for processors.

The graph is made from PyTorch's trace of the network, in fp32, and holds the normalisation. bf16 is a property of its
compilation, where the processor multiplies in it; weights and graph stay the same. int8 has a graph of its own, which training
makes of photos (`training.detection.int8`); every processor runs it, those with VNNI faster than fp32.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from inference.engines.detection import OnCanvases, RawDetections
from inference.engines.openvino_graphs import export_graph, infer_request, openvino_core

INT8 = "openvino-int8"
_MOST_IMAGES = 1024
"""In a batch of the graph; it must have a limit."""


class OpenVinoEngine:
    """See `inference.engines.detection.DetectionEngine`.

    Args:
        name: of the engine.
        graph: file that `export` has written.
        precision: `f32` or `bf16`; of what the graph itself does not say.
        threads: cores that one batch takes.
    """

    def __init__(self, name: str, graph: Path, precision: str, threads: int) -> None:
        self.name = name
        self._request = infer_request(graph, precision, threads)
        self._lock = threading.Lock()

    def __call__(self, canvases: np.ndarray) -> RawDetections:
        with self._lock:
            found = self._request.infer({0: canvases}, share_inputs=True)
            # Copies: the next answer is written to the same memory.
            logits, boxes = (torch.from_numpy(np.array(found[place], dtype=np.float32)) for place in (0, 1))
        return RawDetections(logits, boxes)


def engines(graph: Path, int8_graph: Path, threads: int) -> dict[str, Callable[[], OpenVinoEngine]]:
    """How each engine of this processor is made, by name.

    Args:
        graph: in fp32; it need not be there before one is made.
        int8_graph: without it, there is no engine in int8.
        threads: cores that one batch takes.
    """
    kinds = {"openvino": (graph, "f32")}
    if "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        kinds["openvino-bf16"] = (graph, "bf16")
    if int8_graph.is_file():
        kinds[INT8] = (int8_graph, "f32")
    return {name: partial(OpenVinoEngine, name, file, precision, threads) for name, (file, precision) in kinds.items()}


def export(network: OnCanvases, height: int, width: int, graph: Path) -> None:
    """Write the graph of a network for batches of any size; whole or not at all.

    Raises:
        Exception: OpenVINO does not know an operation of the network.
    """
    example = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    batch = torch.export.Dim("batch", min=1, max=_MOST_IMAGES)
    export_graph(network, (example,), ({0: batch},), graph)
