"""A sentence encoder in OpenVINO: its network, pooling and normalisation as one graph, in fp32, for processors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from torch.nn.functional import normalize

from inference.engines.openvino_graphs import export_graph, infer_request

NAME = "openvino"
_TOGETHER = 8
"""Texts in a pass at most. A core works as fast on these as on more, and those of one pass are padded to the longest."""
_LONGER, _SHORT_CHARS = 2, 64
"""A text may have so many times the characters of another one of its pass: beside a page, a question would cost what the page
does. Texts that are shorter than this count as long as this: a pass has work of its own."""
_MOST_TEXTS = 1024
"""In a batch of the graph; it must have a limit."""
_EXAMPLES = ("a navy blazer", "which shoes go with a navy blazer and grey trousers?")


class OpenVinoTextEngine:
    """See `inference.engines.text.TextEngine`.

    A pass takes one core: a question's few tokens leave nothing for a second one, and the other processes of a service need it.

    Args:
        model: cuts the texts into tokens.
        graph: file that `export` has written.
    """

    name = NAME

    def __init__(self, model: SentenceTransformer, graph: Path) -> None:
        self._model = model
        self._request = infer_request(graph, "f32", threads=1)

    def __call__(self, texts: Sequence[str], batch_size: int) -> np.ndarray:
        rows: list[np.ndarray] = []
        passes = _passes([max(len(text), _SHORT_CHARS) for text in texts], min(batch_size, _TOGETHER))
        for places in passes:
            tokens = _tokens(self._model, [texts[place] for place in places])
            inputs = {place: tensor.numpy() for place, tensor in enumerate(tokens.values())}
            # Copies: the next answer is written to the same memory.
            rows.append(np.array(self._request.infer(inputs, share_inputs=True)[0], dtype=np.float32))
        return np.concatenate(rows)[np.argsort(np.concatenate(passes))]


class _OnTokens(nn.Module):
    """An encoder whose inputs are tensors of a known order, so that it can be traced."""

    def __init__(self, model: SentenceTransformer, names: Sequence[str]) -> None:
        super().__init__()
        self._model, self._names = model, names

    def forward(self, *tokens: Tensor) -> Tensor:
        """int64 (B, T) each -> float32 (B, dim), rows of norm 1."""
        embeddings: Tensor = self._model(dict(zip(self._names, tokens, strict=True)))["sentence_embedding"]
        return normalize(embeddings, dim=1)


def export(model: SentenceTransformer, graph: Path) -> None:
    """Write the graph of an encoder, for texts of any number and length; whole or not at all.

    Raises:
        Exception: OpenVINO does not know an operation of the network.
    """
    tokens = _tokens(model, _EXAMPLES)
    texts = torch.export.Dim("texts", min=1, max=_MOST_TEXTS)
    length = torch.export.Dim("tokens", min=2, max=model.max_seq_length)
    shapes = (tuple({0: texts, 1: length} for _ in tokens),)
    export_graph(_OnTokens(model, list(tokens)).eval(), tuple(tokens.values()), shapes, graph)


def _passes(lengths: Sequence[int], most: int) -> list[list[int]]:
    """Places of the texts, the longest first, in passes of at most so many texts of similar length."""
    passes: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lambda place: -lengths[place]):
        if passes and len(passes[-1]) < most and _LONGER * lengths[place] >= lengths[passes[-1][0]]:
            passes[-1].append(place)
        else:
            passes.append([place])
    return passes


def _tokens(model: SentenceTransformer, texts: Sequence[str]) -> dict[str, Tensor]:
    """What the network reads, each int64 (texts, tokens), in the order of their names."""
    features: dict[str, Any] = model.preprocess(list(texts))
    return {name: features[name] for name in sorted(features) if isinstance(features[name], Tensor)}
