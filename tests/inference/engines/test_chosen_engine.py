"""The engine that serves: the fastest of those that answer as they should, measured once, and torch where there is none."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aura.artifact import read_json
from aura.errors import ArtifactError
from aura.paths import cache_dir
from inference.detection.artifact import LabelRules
from inference.detection.detector import Detector
from inference.detection.preprocess import Preprocess
from inference.detection.smoke_test import SMOKE_TEST, drawn_photos, found_in
from inference.engines import chosen
from inference.engines.chosen import load_for_serving
from inference.engines.detection import DetectionEngine, RawDetections
from inference.engines.exported import ComparedEngines
from inference.engines.hardware import processor
from inference.engines.openvino_detection import OpenVinoEngine, export
from inference.smoke_test import FOLDER
from tests.inference.detection.conftest import build


@pytest.fixture
def simple(artifact: Path) -> Path:
    (artifact / FOLDER).mkdir()
    SMOKE_TEST.write_inputs(artifact / FOLDER)
    return artifact


def canvases(detector: Detector, count: int) -> np.ndarray:
    noise = np.random.default_rng(0)
    height, width = detector.preprocess.height, detector.preprocess.width
    return noise.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("family", ["compact", "lite0", "detr"])
def test_openvino_answers_as_torch_for_batches_of_any_size(
    family: str, tmp_path: Path, preprocess: Preprocess, rules: LabelRules
) -> None:
    detector = Detector(build(family), preprocess, rules)
    export(detector.network, detector.preprocess.height, detector.preprocess.width, tmp_path / "network.xml")
    engine = OpenVinoEngine("openvino", tmp_path / "network.xml", "f32", 1)
    for count in (1, 3, 2):
        given = canvases(detector, count)
        for expected, found in zip(detector.engine(given), engine(given), strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=2e-3)


class Scripted:
    """Torch with a delay that a test gives, or with other answers."""

    def __init__(self, name: str, engine: DetectionEngine, *, wrong: bool = False) -> None:
        self.name, self._engine, self._wrong = name, engine, wrong

    def __call__(self, given: np.ndarray) -> RawDetections:
        found = self._engine(given)
        return RawDetections(found.logits + 3.0, found.boxes_cxcywh_norm) if self._wrong else found


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Engines that were made, in order: `quick`, `wrong`, which finds other garments, and `torn`, which cannot be made."""
    names: list[str] = []

    def makers(
        detector: Detector, _folder: Path, _kept: Path, _refused: Sequence[str]
    ) -> dict[str, Callable[[], DetectionEngine]]:
        def make(name: str) -> DetectionEngine:
            names.append(name)
            if name == "torn":
                raise RuntimeError("an unknown operation")
            return Scripted(name, detector.engine, wrong=name == "wrong")

        return {name: lambda name=name: make(name) for name in ("quick", "wrong", "torn")}  # type: ignore[misc]

    def seconds(engine: DetectionEngine, _canvas: np.ndarray) -> dict[str, float]:
        return {"1": 0.001, "8": 0.002} if engine.name in ("quick", "wrong") else {"1": 0.01, "8": 0.02}

    monkeypatch.setattr(chosen, "_makers", makers)
    monkeypatch.setattr(chosen, "_seconds", seconds)
    return names


def test_the_fastest_that_answers_alike_is_chosen_and_remembered(
    simple: Path, made: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert load_for_serving(simple, "cpu").engine.name == "quick"
    assert made == ["quick", "wrong", "torn"]
    assert "the engine wrong finds other garments than it should, and is left out" in caplog.text
    assert "the engine torn cannot run this detector" in caplog.text
    assert "quick 1.0 ms for 1, 2.0 ms for 8" in caplog.text
    made.clear()
    assert load_for_serving(simple, "cpu").engine.name == "quick"
    assert made == ["quick"], "not measured again"


@pytest.mark.usefixtures("made")
def test_a_remembered_engine_that_answers_otherwise_now_is_replaced(simple: Path) -> None:
    load_for_serving(simple, "cpu")
    [choice] = (cache_dir() / "engines").glob("*/choice.json")
    choice.write_text(choice.read_text().replace('"quick"', '"wrong"', 1))
    assert load_for_serving(simple, "cpu").engine.name == "quick"
    choice.write_text("{")
    assert load_for_serving(simple, "cpu").engine.name == "quick"
    assert read_json(choice, "the choice")["engine"] == "quick"


def test_beside_a_service_a_kept_engine_is_made_while_torch_answers(
    simple: Path, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    load_for_serving(simple, "cpu")
    makers, may_go_on = chosen._makers, threading.Event()

    def waiting(*given: Any) -> dict[str, Callable[[], DetectionEngine]]:
        may_go_on.wait(60)
        return dict(makers(*given))

    monkeypatch.setattr(chosen, "_makers", waiting)
    made.clear()
    detector = load_for_serving(simple, "cpu", in_background=True)
    assert detector.engine.name == "torch"
    may_go_on.set()
    deadline = time.monotonic() + 60
    while detector.engine.name != "quick":
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert made == ["quick"], "not measured again"


def test_another_artifact_is_measured_anew(simple: Path, made: list[str]) -> None:
    load_for_serving(simple, "cpu")
    made.clear()
    (simple / "card.md").write_text("another one")
    load_for_serving(simple, "cpu")
    assert made == ["quick", "wrong", "torn"]


def test_while_an_engine_is_chosen_in_another_process_torch_answers(simple: Path, own_home: Path) -> None:
    detector = load_for_serving(simple, "cpu", in_background=True)
    given = canvases(detector, 2)
    expected = detector.engine(given).logits.numpy()
    limit = time.monotonic() + 300  # in bf16, if that is chosen, logits differ in the second digit
    while any(thread.name == "choice of an engine" for thread in threading.enumerate()):
        np.testing.assert_allclose(detector.engine(given).logits.numpy(), expected, atol=0.2)
        assert time.monotonic() < limit
    [choice] = (own_home / "cache" / "engines").glob("*/choice.json")
    assert detector.engine.name == read_json(choice, "the choice")["engine"]
    np.testing.assert_allclose(detector.engine(given).logits.numpy(), expected, atol=0.2)


def test_an_engine_by_name_is_that_one_or_an_error(simple: Path, made: list[str]) -> None:
    assert load_for_serving(simple, "cpu", "torch").engine.name == "torch"
    assert made == []
    assert load_for_serving(simple, "cpu", "quick").engine.name == "quick"
    with pytest.raises(ArtifactError, match="finds other garments than it should"):
        load_for_serving(simple, "cpu", "wrong")
    with pytest.raises(ArtifactError, match="no engine 'warp'") as caught:
        load_for_serving(simple, "cpu", "warp")
    assert "quick" in caught.value.hint


@pytest.mark.usefixtures("made")
def test_an_engine_is_known_by_what_training_recorded_of_it(simple: Path) -> None:
    """`wrong` differs from torch by more than any tolerance, and serves where training found that it may."""
    detector = Detector.load(simple)
    found = found_in(detector.run_by(Scripted("wrong", detector.engine, wrong=True)), drawn_photos())
    assert all(found)
    ComparedEngines(ap50={"wrong": 0.5}, refused=[], found={"wrong": found}).write(simple)
    assert load_for_serving(simple, "cpu", "wrong").engine.name == "wrong"

    ComparedEngines(ap50={"quick": 0.5}, refused=[], found={"quick": found}).write(simple)
    with pytest.raises(ArtifactError, match="finds other garments than it should"):
        load_for_serving(simple, "cpu", "quick")


def test_a_detector_run_by_another_engine_finds_the_same(simple: Path) -> None:
    detector = Detector.load(simple)
    photo = Image.open(simple / FOLDER / "worn.png")
    engine = Scripted("other", detector.engine)
    other = detector.run_by(engine)
    assert other.predict([photo], 0.05) == detector.predict([photo], 0.05)
    assert (other.engine, detector.engine.name) == (engine, "torch")


def test_the_processor_is_named() -> None:
    found = processor()
    assert found.name
    assert found.cores >= 1
    assert str(found.cores) in str(found)


_ENGINES_THAT_OVERLAP = """
import gc, signal, subprocess, sys
from pathlib import Path
from inference.engines.openvino_detection import OpenVinoEngine

import faulthandler
faulthandler.enable()
signal.signal(signal.SIGCHLD, lambda *_: None)
first, second = (OpenVinoEngine("openvino", Path(sys.argv[1]), "f32", 1) for _ in range(2))
del first
gc.collect()
del second
gc.collect()
subprocess.run(["true"], check=True)
print("alive")
"""


def test_a_process_outlives_signals_after_its_engines(
    tmp_path: Path, preprocess: Preprocess, rules: LabelRules
) -> None:
    """A service loads the next engine before it frees the last."""
    detector = Detector(build("compact"), preprocess, rules)
    export(detector.network, detector.preprocess.height, detector.preprocess.width, tmp_path / "network.xml")
    command = [sys.executable, "-c", _ENGINES_THAT_OVERLAP, str(tmp_path / "network.xml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
