"""Sentence embeddings from the wheel: offline, of norm 1, the same alone and in a batch."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from aura.errors import ArtifactError
from inference.references import TEXT_EMBEDDER_REFERENCE
from inference.text_embedding import TextEmbedder

_TEXTS = [
    "tops: red cotton shirt",
    "bags",
    "shoes: " + "very " * 60 + "long boots",
    "bags",
    "tops: crimson cotton blouse",
]


def test_the_wheel_needs_no_network(monkeypatch: pytest.MonkeyPatch, embedder: TextEmbedder) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError(f"went to the network: {arguments[1:]}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    offline = TextEmbedder()
    assert offline.reference == TEXT_EMBEDDER_REFERENCE
    np.testing.assert_array_equal(offline.encode(_TEXTS), embedder.encode(_TEXTS))


def test_rows_have_norm_one(embedder: TextEmbedder) -> None:
    rows = embedder.encode([*_TEXTS, "", "ß 你好 \u200d"])
    assert rows.shape == (7, embedder.dim)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_a_batch_equals_each_text_alone(embedder: TextEmbedder) -> None:
    together = embedder.encode(_TEXTS, batch_size=3)
    alone = np.concatenate([embedder.encode([text]) for text in _TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_array_equal(together[1], together[3])
    np.testing.assert_allclose(embedder.encode(_TEXTS[::-1])[::-1], together, atol=1e-5)


def test_like_texts_lie_near_each_other(embedder: TextEmbedder) -> None:
    shirt, bag, _, _, blouse = embedder.encode(_TEXTS)
    assert shirt @ blouse > shirt @ bag + 0.1


def test_no_texts_give_no_rows(embedder: TextEmbedder) -> None:
    assert embedder.encode([]).shape == (0, embedder.dim)


def test_a_single_text_is_not_taken_for_its_letters(embedder: TextEmbedder) -> None:
    with pytest.raises(ValueError, match="list"):
        embedder.encode("bags")


def test_threads_get_the_rows_of_one_caller(embedder: TextEmbedder) -> None:
    expected = embedder.encode(_TEXTS)
    found: dict[int, np.ndarray] = {}

    def encode(number: int) -> None:
        found[number] = embedder.encode(_TEXTS[number:] + _TEXTS[:number])

    threads = [threading.Thread(target=encode, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_allclose(found[number], np.roll(expected, -number, axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("wheel:no-such-wheel", "'no-such-wheel' is not installed"),
        ("wheel:not a name", "'not a name' is not installed"),
        ("wheel:numpy", "'numpy' holds no sentence-transformers model"),
        ("no-such/model", "no text embedding model at 'no-such/model'"),
    ],
)
def test_a_reference_that_leads_nowhere_is_named(reference: str, said: str) -> None:
    with pytest.raises(ArtifactError, match=said) as caught:
        TextEmbedder(reference)
    assert caught.value.hint


def test_an_empty_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=str(tmp_path)):
        TextEmbedder(str(tmp_path))
