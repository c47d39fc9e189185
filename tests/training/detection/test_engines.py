"""What training leaves for the engines: a graph that answers as torch does, and the names of those that lose precision."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError
from inference.detection.detector import Detector
from inference.detection.smoke_test import SMOKE_TEST
from inference.engines import chosen
from inference.engines.chosen import load_for_serving
from inference.engines.exported import COMPARED, GRAPH, refused_engines
from inference.smoke_test import FOLDER
from tests.inference.detection.conftest import artifact, preprocess, rules
from training.detection.engines import export_engines

__all__ = ["artifact", "preprocess", "rules"]


def test_the_graph_beside_the_weights_answers_as_torch(artifact: Path) -> None:
    found = export_engines(artifact, 0.5, lambda _: 0.5)
    assert found.keys() >= {"torch", "openvino"}
    assert read_json(artifact / COMPARED, "the comparison") == {"ap50": found, "refused": []}
    from inference.engines.openvino_detection import OpenVinoEngine

    detector = Detector.load(artifact)
    canvases = np.random.default_rng(0).integers(
        0, 256, (3, detector.preprocess.height, detector.preprocess.width, 3), dtype=np.uint8
    )
    exported = OpenVinoEngine(artifact / GRAPH, "f32", 1)(canvases)
    for expected, given in zip(detector.engine(canvases), exported, strict=True):
        np.testing.assert_allclose(given.numpy(), expected.numpy(), atol=2e-3)


def test_an_engine_that_loses_precision_is_refused_where_it_serves(artifact: Path) -> None:
    (artifact / FOLDER).mkdir()
    SMOKE_TEST.write_inputs(artifact / FOLDER)

    found = export_engines(artifact, 0.5, lambda _: 0.49)
    assert refused_engines(artifact) == found.keys() - {"torch"}
    assert load_for_serving(artifact, "cpu").engine.name == "torch"
    with pytest.raises(ArtifactError, match="there is no engine 'openvino'"):
        load_for_serving(artifact, "cpu", "openvino")


def test_where_it_serves_the_graph_is_not_made_again(
    artifact: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (artifact / FOLDER).mkdir()
    SMOKE_TEST.write_inputs(artifact / FOLDER)
    export_engines(artifact, 0.5, lambda _: 0.5)
    monkeypatch.setattr(chosen, "_seconds", lambda engine, _: {"1": 0.1 if engine.name == "torch" else 0.01})
    assert load_for_serving(artifact, "cpu").engine.name.startswith("openvino")
    assert not list((own_home / "cache" / "engines").rglob("network.xml"))


def test_without_openvino_a_training_goes_on(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inference.engines.openvino_detection", None)
    assert export_engines(artifact, 0.5, lambda _: 0.5) == {}
    assert not (artifact / GRAPH).parent.exists()


def test_a_network_that_cannot_be_exported_leaves_nothing(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        (artifact / GRAPH).parent.mkdir()
        (artifact / GRAPH).with_suffix(".half").write_text("")
        raise RuntimeError("an unknown operation")

    monkeypatch.setattr("inference.engines.openvino_detection.export", unknown)
    assert export_engines(artifact, 0.5, lambda _: 0.5) == {}
    assert not (artifact / GRAPH).parent.exists()


def test_a_damaged_comparison_is_a_damaged_artifact(artifact: Path) -> None:
    (artifact / COMPARED).parent.mkdir()
    write_json(artifact / COMPARED, {"ap50": {}})
    with pytest.raises(ArtifactError, match="does not compare engines"):
        refused_engines(artifact)
