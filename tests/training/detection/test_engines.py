"""What training leaves for the engines: a graph that answers as torch does, and the names of those that lose precision."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from aura.artifact import write_json
from aura.errors import ArtifactError
from inference.detection.detector import Detector
from inference.detection.smoke_test import SMOKE_TEST, drawn_photos, found_in
from inference.engines import chosen
from inference.engines.chosen import load_for_serving
from inference.engines.exported import GRAPH, INT8_GRAPH, ComparedEngines, compared_engines
from inference.engines.openvino_detection import INT8, OpenVinoEngine
from inference.smoke_test import FOLDER
from tests.inference.detection.conftest import artifact, preprocess, rules
from training.detection.engines import export_engines

__all__ = ["artifact", "preprocess", "rules"]


@pytest.fixture
def sure(artifact: Path) -> Path:
    """An artifact that finds something in the smoke test's photos, as an untrained one does not."""
    weights = load_file(artifact / "model.safetensors")
    for name, tensor in weights.items():
        if name.startswith("class_labels_classifier."):
            tensor.normal_(std=0.7, generator=torch.Generator().manual_seed(1))
    save_file(weights, artifact / "model.safetensors", metadata={"format": "pt"})
    (artifact / FOLDER).mkdir()
    SMOKE_TEST.write_inputs(artifact / FOLDER)
    return artifact


def canvases(artifact: Path, count: int = 8) -> list[np.ndarray]:
    preprocess = Detector.load(artifact).preprocess
    noise = np.random.default_rng(0)
    return list(noise.integers(0, 256, (count, preprocess.height, preprocess.width, 3), dtype=np.uint8))


def test_the_graphs_beside_the_weights_answer_as_torch(artifact: Path) -> None:
    found = export_engines(artifact, 0.5, lambda _: 0.5, canvases(artifact))
    assert found.keys() >= {"torch", "openvino", INT8}
    compared = compared_engines(artifact)
    assert (compared.ap50, compared.refused, compared.found.keys()) == (found, [], found.keys() - {"torch"})
    given = np.stack(canvases(artifact, 3))
    torch_found = Detector.load(artifact).engine(given)
    for graph, tolerance in ((GRAPH, 2e-3), (INT8_GRAPH, 0.3)):
        exported = OpenVinoEngine("any", artifact / graph, "f32", 1)(given)
        for expected, logits_or_boxes in zip(torch_found, exported, strict=True):
            np.testing.assert_allclose(logits_or_boxes.numpy(), expected.numpy(), atol=tolerance)


def test_int8_is_another_graph(artifact: Path) -> None:
    """A graph that was copied would be as close to torch as one in fp32."""
    export_engines(artifact, 0.5, lambda _: 0.5, canvases(artifact))
    given = np.stack(canvases(artifact, 2))
    logits = [OpenVinoEngine("any", artifact / graph, "f32", 1)(given).logits for graph in (GRAPH, INT8_GRAPH)]
    assert float((logits[0] - logits[1]).abs().max()) > 2e-3
    sizes = [(artifact / graph).with_suffix(".bin").stat().st_size for graph in (GRAPH, INT8_GRAPH)]
    assert sizes[1] < 0.7 * sizes[0]


def test_an_engine_that_loses_precision_is_refused_where_it_serves(artifact: Path) -> None:
    (artifact / FOLDER).mkdir()
    SMOKE_TEST.write_inputs(artifact / FOLDER)

    found = export_engines(artifact, 0.5, lambda _: 0.49, canvases(artifact))
    compared = compared_engines(artifact)
    assert (set(compared.refused), compared.found) == (found.keys() - {"torch"}, {})
    assert not (artifact / INT8_GRAPH).exists()
    assert (artifact / GRAPH).is_file(), "a processor without bf16 may serve it"
    assert load_for_serving(artifact, "cpu").engine.name == "torch"
    with pytest.raises(ArtifactError, match="there is no engine 'openvino'"):
        load_for_serving(artifact, "cpu", "openvino")


def test_what_each_engine_finds_is_recorded(sure: Path) -> None:
    export_engines(sure, 0.5, lambda _: 0.5, canvases(sure))
    recorded = compared_engines(sure).found[INT8]
    detector = Detector.load(sure).run_by(OpenVinoEngine(INT8, sure / INT8_GRAPH, "f32", 1))
    assert all(recorded)
    assert SMOKE_TEST.differences(recorded, found_in(detector, drawn_photos())) == []
    assert load_for_serving(sure, "cpu", INT8).engine.name == INT8


def test_an_engine_that_cannot_run_the_network_is_refused_and_the_others_are_not(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Path, int8_graph: Path, __: object) -> None:
        int8_graph.write_text("<net></net>")

    monkeypatch.setattr("training.detection.engines.quantise", broken)
    found = export_engines(artifact, 0.5, lambda _: 0.5, canvases(artifact))
    assert (compared_engines(artifact).refused, found.keys() >= {"torch", "openvino"}) == ([INT8], True)
    assert not (artifact / INT8_GRAPH).exists()


def test_a_network_that_cannot_be_quantised_has_its_other_engines(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(_: Path, int8_graph: Path, __: object) -> None:
        int8_graph.with_suffix(".bin").write_bytes(b"half")
        raise RuntimeError("an unknown operation")

    monkeypatch.setattr("training.detection.engines.quantise", half)
    found = export_engines(artifact, 0.5, lambda _: 0.5, [])
    assert found.keys() >= {"torch", "openvino"}
    assert INT8 not in found
    assert not list((artifact / GRAPH).parent.glob("*int8*"))


def test_where_it_serves_the_graph_is_not_made_again(
    artifact: Path, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (artifact / FOLDER).mkdir()
    SMOKE_TEST.write_inputs(artifact / FOLDER)
    export_engines(artifact, 0.5, lambda _: 0.5, canvases(artifact))
    monkeypatch.setattr(chosen, "_seconds", lambda engine, _: {"1": 0.1 if engine.name == "torch" else 0.01})
    assert load_for_serving(artifact, "cpu").engine.name.startswith("openvino")
    assert not list((own_home / "cache" / "engines").rglob("network.xml"))


def test_without_openvino_a_training_goes_on(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inference.engines.openvino_detection", None)
    assert export_engines(artifact, 0.5, lambda _: 0.5, canvases(artifact)) == {}
    assert not (artifact / GRAPH).parent.exists()


def test_a_network_that_cannot_be_exported_leaves_nothing(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object) -> None:
        (artifact / GRAPH).parent.mkdir()
        (artifact / GRAPH).with_suffix(".half").write_text("")
        raise RuntimeError("an unknown operation")

    monkeypatch.setattr("inference.engines.openvino_detection.export", unknown)
    assert export_engines(artifact, 0.5, lambda _: 0.5, canvases(artifact)) == {}
    assert not (artifact / GRAPH).parent.exists()


def test_a_damaged_comparison_is_a_damaged_artifact(artifact: Path) -> None:
    file = artifact / "openvino" / "compared.json"
    file.parent.mkdir()
    for content in ({"ap50": {}}, [], {"ap50": {}, "refused": None}, {"ap50": {}, "refused": [], "found": None}):
        write_json(file, content)
        with pytest.raises(ArtifactError, match="does not compare engines"):
            compared_engines(artifact)


def test_a_comparison_of_before_engines_recorded_what_they_find_is_read(artifact: Path) -> None:
    (artifact / "openvino").mkdir()
    write_json(artifact / "openvino" / "compared.json", {"ap50": {"torch": 0.5}, "refused": ["openvino"]})
    assert compared_engines(artifact) == ComparedEngines(ap50={"torch": 0.5}, refused=["openvino"])
