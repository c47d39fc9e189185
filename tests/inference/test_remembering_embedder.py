"""Vectors of texts are embedded once, told in order, and forgotten when too many others came."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from inference import recent_vectors
from inference.remembering_embedder import RememberingEmbedder


class Lengths:
    """Embeds a text as its length, and notes what it was asked for."""

    reference, dim = "lengths", 1

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[float(len(text))] for text in texts])


def test_a_text_is_embedded_once_and_vectors_keep_the_order_of_the_texts() -> None:
    embed = Lengths()
    remembered = RememberingEmbedder(embed)
    assert remembered.encode(["wool", "silk thread", "wool"]).tolist() == [[4.0], [11.0], [4.0]]
    assert remembered.encode(["linen", "silk thread"]).tolist() == [[5.0], [11.0]]
    assert embed.asked == ["wool", "silk thread", "linen"]
    assert remembered.encode([]).shape == (0, 1)
    assert (remembered.reference, remembered.dim) == ("lengths", 1)


def test_what_was_not_met_for_long_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent_vectors, "_KEPT", 2)
    embed = Lengths()
    remembered = RememberingEmbedder(embed)
    for text in ("a", "bb", "a", "ccc", "a", "bb"):
        assert remembered.encode([text]).tolist() == [[float(len(text))]]
    assert embed.asked == ["a", "bb", "ccc", "bb"]
