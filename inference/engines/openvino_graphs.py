"""OpenVINO's graphs of networks: written whole or not at all, and compiled for this processor."""

from __future__ import annotations

import os
import threading
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from aura.heavy_imports import heavy_imports

_MAKING_CORE = threading.Lock()
"""`cache` lets two callers make one each."""


def export_graph(network: nn.Module, example: tuple[Any, ...], dynamic_shapes: Any, graph: Path) -> None:
    """Write the graph of a network, from PyTorch's trace of it, in fp32.

    Args:
        example, dynamic_shapes: as `torch.export.export` takes them.

    Raises:
        Exception: OpenVINO does not know an operation of the network.
    """
    with heavy_imports():
        import openvino

    with torch.no_grad():
        program = torch.export.export(network, example, dynamic_shapes=dynamic_shapes, strict=False)
        model = openvino.convert_model(program)
    graph.parent.mkdir(parents=True, exist_ok=True)
    unfinished = graph.with_name(f"{graph.stem}.{os.getpid()}{graph.suffix}")
    openvino.save_model(model, unfinished, compress_to_fp16=False)
    unfinished.with_suffix(".bin").replace(graph.with_suffix(".bin"))  # weights first: the graph says that all is there
    unfinished.replace(graph)


def infer_request(graph: Path, precision: str, threads: int) -> Any:
    """OpenVINO's request for a graph; for one caller at a time.

    Args:
        precision: OpenVINO's name of it, for example `f32`.
        threads: cores that one batch takes.
    """
    core = openvino_core()
    options = {
        "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": threads,
    }  # fmt: skip
    return core.compile_model(core.read_model(graph), "CPU", options).create_infer_request()


def openvino_core() -> Any:
    """OpenVINO's core, one for the life of the process.

    Each gives the thread another stack for signals, and the one before back when it ends: the later of two that overlap gives
    back the earlier's, which is unmapped by then, and the next signal kills the process.
    """
    with _MAKING_CORE:
        return _core()


@cache
def _core() -> Any:
    with heavy_imports():
        import openvino

    return openvino.Core()
