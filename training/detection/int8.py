"""A detector's graph in int8: weights and activations of its convolutions and matrix products, 8 bits each.

Quantisation after training by NNCF, OpenVINO's own library for it: the ranges of the activations are read off photos, and biases
are corrected for what rounding shifts. In a process of its own (`python -m training.detection.int8`): NNCF makes several cores of
OpenVINO (see `inference.engines.openvino_graphs.openvino_core`).
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aura.heavy_imports import heavy_imports
from aura.module_process import run_module
from aura.scratch import scratch_folder
from aura.supervision import die_with

CALIBRATION_PHOTOS = 100
"""A third of NNCF's own default: a night on two cores waits for them. Whether they are enough, AP50 says at each training."""
_MODULE = "training.detection.int8"


def quantise(graph: Path, int8_graph: Path, canvases: Sequence[np.ndarray]) -> None:
    """Write the graph in int8 of one in fp32.

    Args:
        graph: of a detector on canvases (`inference.engines.openvino_detection.export`).
        canvases: uint8 (height, width, 3), of photos like those that it will see.

    Raises:
        ChildProcessError: NNCF cannot quantise the network, or is not installed.
    """
    with scratch_folder(Path(tempfile.gettempdir()), "aura-int8-", marked_only=True) as folder:
        photos = folder / "canvases.npy"
        np.save(photos, np.stack(canvases))
        done = run_module(_MODULE, str(graph), str(int8_graph), str(photos))
    if done.returncode:
        raise ChildProcessError(f"{_MODULE} ended with {done.returncode}: {done.stderr[-500:]}")


def main() -> None:
    """Quantise the graph that is named into the next, with canvases (N, height, width, 3) of an npy file."""
    die_with(os.getppid())
    with heavy_imports():
        import nncf
        import openvino

    graph, int8_graph, photos = map(Path, sys.argv[1:])
    canvases = np.load(photos)
    quantised = nncf.quantize(
        openvino.Core().read_model(graph),
        nncf.Dataset(canvases, lambda canvas: {0: canvas[None]}),
        model_type=nncf.ModelType.TRANSFORMER,  # keeps softmax and normalisations of attention in fp32
        subset_size=len(canvases),
    )
    openvino.save_model(quantised, int8_graph, compress_to_fp16=False)


if __name__ == "__main__":
    main()
