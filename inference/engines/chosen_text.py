"""Which engine encodes texts in a service: the fastest on this machine of those whose embeddings are torch's.

How one is chosen: `inference.engines.choice`.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from functools import lru_cache, partial

import numpy as np
import torch

from inference.engines.choice import TORCH, Choice, give_way, kept_folder, least_seconds
from inference.engines.text import TextEngine
from inference.text_embedding import TextEmbedder, text_embedder_for

SENTENCES = (
    "what can I wear to a garden wedding in July?",
    "and which shoes?",
    "Is it all right to wear white as a guest, or does that only hold for some families?",
    "navy linen blazer",
    "How do I get red wine out of a silk blouse without ruining it - cold water first, or straight to the cleaner's?",
    "Wool: care and storage. Wash wool by hand in cool water with a mild detergent, press the water out without wringing, and "
    "dry it flat, away from sunlight and radiators. Moths lay their eggs in fibres that hold sweat or food, so wash or air a "
    "piece before it is put away. Cedar keeps them off for a season; then its surface has to be sanded.",
    "¿qué me pongo con unos vaqueros negros? 👖",
    "",
)
"""By which engines are compared: of one word to a page's section, alone and together."""
_MOST_DIFFERENCE = 1e-5
"""Of a coordinate. Sums in another order differ by 3e-7; products of bfloat16 by 1e-2."""
_BATCHES = (1, 8)
_LIBRARIES = ("torch", "openvino", "transformers", "sentence-transformers")


@lru_cache(maxsize=2)
def text_embedder_for_serving(reference: str, engine: str) -> TextEmbedder:
    """The embedding model of a reference, loaded once; torch encodes at once, and until another engine is made.

    Args:
        engine: `torch`, or whatever is fastest.

    Raises:
        ArtifactError: as `TextEmbedder`.
    """
    embedder = text_embedder_for(reference)
    if engine != TORCH:

        def use(made: TextEngine) -> None:
            embedder.engine = made

        _choice(embedder).follow(use, "inference.engines.chosen_text", reference)
    return embedder


def _choice(embedder: TextEmbedder) -> Choice[TextEngine]:
    torch_engine = embedder.engine
    folder = kept_folder(_hash(embedder), _LIBRARIES)

    def makers() -> dict[str, Callable[[], TextEngine]]:
        try:
            from inference.engines.openvino_text import NAME, OpenVinoTextEngine, export
        except ImportError:
            return {}

        graph = folder / "network.xml"

        def make() -> TextEngine:
            if not graph.is_file():
                export(embedder.model, graph)
            return OpenVinoTextEngine(embedder.model, graph)

        return {NAME: make}

    return Choice(
        what="sentence encoder",
        otherwise="encodes sentences otherwise than torch",
        folder=folder,
        torch=torch_engine,
        makers=makers,
        differences=partial(differences, torch_engine),
        seconds=_seconds,
    )


def differences(torch_engine: TextEngine, engine: TextEngine) -> list[str]:
    """Sentences that an engine encodes otherwise than torch, in words; each alone and all together."""
    expected = torch_engine(SENTENCES, len(SENTENCES))
    together = engine(SENTENCES, len(SENTENCES))
    alone = np.concatenate([engine([sentence], 1) for sentence in SENTENCES])
    return [
        f"{sentence[:40]!r} differs by {difference:.1e}"
        for sentence, *rows in zip(SENTENCES, expected, together, alone, strict=True)
        if not (difference := max(float(np.abs(row - rows[0]).max()) for row in rows[1:])) <= _MOST_DIFFERENCE
    ]


def _seconds(engine: TextEngine) -> dict[str, float]:
    return {str(size): least_seconds(partial(engine, SENTENCES[:size], size)) for size in _BATCHES}


def _hash(embedder: TextEmbedder) -> str:
    """Of the network and its weights, wherever they came from."""
    digest = hashlib.sha256(repr(embedder.model).encode())
    for name, tensor in embedder.model.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def main() -> None:
    """Choose the engine of the model that is named."""
    give_way()
    _choice(text_embedder_for(sys.argv[1])).chosen()


if __name__ == "__main__":
    main()
