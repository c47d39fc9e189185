"""The engine that encodes texts in a service: OpenVINO where its embeddings are torch's, torch until it is made and where not."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer
from torch import Tensor

from aura.artifact import read_json
from aura.paths import cache_dir
from inference.engines import chosen_text, openvino_text
from inference.engines.chosen_text import SENTENCES, differences, text_embedder_for_serving
from inference.engines.openvino_text import OpenVinoTextEngine, export
from inference.engines.text import TextEngine
from inference.references import TEXT_EMBEDDER_REFERENCE
from inference.text_embedding import TextEmbedder

CHOICE = "choice of an engine"


@pytest.fixture(scope="module")
def embedder() -> TextEmbedder:
    return TextEmbedder()


@pytest.fixture(scope="module")
def openvino(embedder: TextEmbedder, tmp_path_factory: pytest.TempPathFactory) -> OpenVinoTextEngine:
    graph = tmp_path_factory.mktemp("graph") / "network.xml"
    export(embedder.model, graph)
    return OpenVinoTextEngine(embedder.model, graph)


@pytest.fixture
def served(embedder: TextEmbedder, monkeypatch: pytest.MonkeyPatch) -> Iterator[TextEmbedder]:
    """The embedder that a service gets, run by torch again afterwards."""
    monkeypatch.setattr(chosen_text, "text_embedder_for", lambda _: embedder)
    text_embedder_for_serving.cache_clear()
    torch_engine = embedder.engine
    yield embedder
    text_embedder_for_serving.cache_clear()
    embedder.engine = torch_engine


class Wrong:
    """Torch, but one sentence is moved by more than sums in another order move it."""

    name = "openvino"

    def __init__(self, engine: TextEngine, moved: str) -> None:
        self._engine, self._moved = engine, moved

    def __call__(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        rows = self._engine(texts, batch_size)
        return rows + np.array([[1e-4 if text == self._moved else 0.0] for text in texts], dtype=np.float32)


def wait_for_choice() -> None:
    for thread in threading.enumerate():
        if thread.name == CHOICE:
            thread.join(300)
            assert not thread.is_alive()


def test_openvino_embeds_as_torch_in_batches_of_any_size(embedder: TextEmbedder, openvino: OpenVinoTextEngine) -> None:
    texts = [*SENTENCES, "long " * 600, "x", *(f"coat number {number}" for number in range(20))]
    expected = embedder.engine(texts, 64)
    for batch_size in (64, 3, 1):
        found = openvino(texts, batch_size)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=2e-6)
    assert differences(embedder.engine, openvino) == []


def test_questions_are_not_padded_to_the_length_of_a_page(
    embedder: TextEmbedder, openvino: OpenVinoTextEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, int]] = []
    tokens_of = openvino_text._tokens

    def counted(model: SentenceTransformer, texts: Sequence[str]) -> dict[str, Tensor]:
        tokens = tokens_of(model, texts)
        sizes.append(tuple(next(iter(tokens.values())).shape))
        return tokens

    monkeypatch.setattr(openvino_text, "_tokens", counted)
    texts = ["which shoes with navy?", "wool " * 200, "what for a wedding?", "and a hat?", "linen " * 190]
    found = openvino(texts, 64)
    assert [count for count, _ in sizes] == [2, 3]
    assert sizes[1][1] < 10
    np.testing.assert_allclose(found, embedder.engine(texts, 64), atol=2e-6)


@pytest.mark.parametrize("moved", [SENTENCES[0], SENTENCES[-1]])
def test_an_engine_that_embeds_one_sentence_otherwise_is_refused(embedder: TextEmbedder, moved: str) -> None:
    [found] = differences(embedder.engine, Wrong(embedder.engine, moved))
    assert found == f"{moved[:40]!r} differs by 1.0e-04"


def test_numbers_that_are_none_are_refused(embedder: TextEmbedder) -> None:
    class Nothing(Wrong):
        def __call__(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
            return super().__call__(texts, batch_size) * np.nan

    assert len(differences(embedder.engine, Nothing(embedder.engine, ""))) == len(SENTENCES)


def test_torch_answers_until_the_engine_is_made_in_another_process(served: TextEmbedder, own_home: Path) -> None:
    expected = served.encode(SENTENCES)
    embedder = text_embedder_for_serving(TEXT_EMBEDDER_REFERENCE, "auto")
    assert embedder.engine.name == "torch"
    limit = time.monotonic() + 300
    while any(thread.name == CHOICE for thread in threading.enumerate()):
        np.testing.assert_allclose(embedder.encode(SENTENCES), expected, atol=1e-5)
        assert time.monotonic() < limit
    [choice] = (own_home / "cache" / "engines").glob("*/choice.json")
    content = read_json(choice, "the choice")
    assert set(content["seconds"]) == {"torch", "openvino"}
    assert embedder.engine.name == content["engine"]
    np.testing.assert_allclose(embedder.encode(SENTENCES), expected, atol=1e-5)


def test_an_engine_that_differs_leaves_torch_and_is_said(
    served: TextEmbedder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    torch_engine = served.engine
    wrong = Wrong(torch_engine, SENTENCES[0])
    monkeypatch.setattr("inference.engines.openvino_text.export", lambda *_: None)
    monkeypatch.setattr("inference.engines.openvino_text.OpenVinoTextEngine", lambda *_: wrong)
    assert chosen_text._choice(served).chosen() is torch_engine
    assert "the engine openvino encodes sentences otherwise than torch, and is left out" in caplog.text
    [choice] = (cache_dir() / "engines").glob("*/choice.json")
    assert read_json(choice, "the choice")["engine"] == "torch"
    text_embedder_for_serving(TEXT_EMBEDDER_REFERENCE, "auto")
    wait_for_choice()
    assert served.engine is torch_engine


def test_without_openvino_torch_serves(served: TextEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inference.engines.openvino_text", None)
    torch_engine = served.engine
    assert chosen_text._choice(served).chosen() is torch_engine


def test_torch_by_name_makes_no_engine(served: TextEmbedder) -> None:
    assert text_embedder_for_serving(TEXT_EMBEDDER_REFERENCE, "torch") is served
    assert not any(thread.name == CHOICE for thread in threading.enumerate())
    assert served.engine.name == "torch"
