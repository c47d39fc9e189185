"""Is a question one that the pages answer? Signs of it that need no language model.

A question out of scope has words that neither the pages nor any question of the training has ("who won the football final"),
shares no rare word with what was found for it, and is far from every question of the training (nearest neighbour distance, Sun
et al., arXiv 2204.06507). No sign tells alone: "how do I sew in a zip?" is near to pages about trousers. `DeclineRule` weighs
them.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from aura.artifact import read_json, write_json
from aura.errors import ArtifactError
from inference.chat.content_words import content_words, stem
from inference.chat.passages import ChatPassage

SIGNS = (
    "relevance", "mean_similarity", "known_words", "coverage", "rarity", "nearest_question", "nearest_sentence", "words",
)  # fmt: skip
"""Best relevance and mean similarity of the passages that were found; share of the question's content words that are known; share
of their rarity (log of the inverse share of passages that hold a word) that the best passage has, and its sum; cosines of the
nearest question of the training and of the nearest sentence that was found, below its heading; number of the question's words."""
_WORDS, _VECTORS = "known_words.json", "known_questions.safetensors"


class Familiarity:
    """What pages and questions of a training hold.

    Args:
        holders: number of passages that hold a word, by its stem.
        passages: number of all passages.
        asked: stems of the words of the training's questions.
        vectors: float16 (questions, dim), their embeddings, of L2 norm 1.
    """

    def __init__(self, holders: Mapping[str, int], passages: int, asked: frozenset[str], vectors: np.ndarray) -> None:
        self._holders, self._passages, self._asked = holders, passages, asked
        self._vectors = vectors.astype(np.float32)

    @classmethod
    def of(
        cls,
        passages: Sequence[ChatPassage],
        questions: Sequence[str],
        embed: Callable[[Sequence[str]], np.ndarray],
    ) -> Familiarity:
        """From all passages of the pages, and the questions of the training."""
        holders = Counter(word for passage in passages for word in _stems(passage.whole))
        asked = frozenset(word for question in questions for word in _stems(question))
        return cls(holders, len(passages), asked, embed(questions).astype(np.float16))

    def signs(
        self, question: str, vector: np.ndarray, passages: Sequence[ChatPassage], sentences: np.ndarray
    ) -> dict[str, float]:
        """`SIGNS` of a question.

        Args:
            vector: float (dim,), embedding of the question.
            passages: what was found for it.
            sentences: float (sentences, dim), embeddings of their sentences, below their headings.
        """
        words = _stems(question)
        rarity = {word: math.log((self._passages + 1) / (self._holders.get(word, 0) + 0.5)) for word in words}
        held = max((sum(rarity[word] for word in words & _stems(passage.whole)) for passage in passages), default=0.0)
        return {
            "relevance": max((passage.relevance for passage in passages), default=-1.0),
            "mean_similarity": float(np.mean([passage.similarity for passage in passages])) if passages else -1.0,
            "known_words": sum(w in self._holders or w in self._asked for w in words) / len(words) if words else 0.0,
            "coverage": held / sum(rarity.values()) if words else 0.0,
            "rarity": held,
            "nearest_question": float((self._vectors @ vector).max()) if len(self._vectors) else -1.0,
            "nearest_sentence": float((sentences @ vector).max()) if len(sentences) else -1.0,
            "words": float(len(question.split())),
        }

    def save(self, folder: Path) -> None:
        """Write both files into an artifact's folder."""
        words = {
            "passages": self._passages,
            "holders": dict(sorted(self._holders.items())),
            "asked": sorted(self._asked),
        }
        write_json(folder / _WORDS, words)
        save_file({"questions": self._vectors.astype(np.float16)}, folder / _VECTORS)

    @classmethod
    def load(cls, folder: Path) -> Familiarity:
        """Read what `save` wrote.

        Raises:
            ArtifactError: a file is missing or broken.
        """
        words = read_json(folder / _WORDS, "the words that the chat model knows")
        try:
            vectors = load_file(folder / _VECTORS)["questions"]
            return cls(words["holders"], words["passages"], frozenset(words["asked"]), vectors)
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise ArtifactError(
                f"what the chat model knows, in {folder}, is missing or broken: {error}",
                hint="train again, or roll back",
            ) from error


def _stems(text: str) -> set[str]:
    return {stem(word) for word in content_words(text)}
