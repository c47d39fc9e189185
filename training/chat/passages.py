"""The notes of a training example: the chunk of the relevant pages that supports the answer.

Serving puts retrieved chunks before the question. A dialogue names its pages, not its chunk, so the chunk is found by
words: the one that shares most with question and answer, rare words counting more. What is trained (and judged) is then
reading the right notes; whether retrieval finds them is judged where the index is built.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from aura.errors import DataError
from inference.chat.prompt import note_text
from inference.retrieval.chunks import cut_page, read_pages

_WORD = re.compile(r"[a-z0-9]+")


class PassageFinder:
    """Chunks of all pages, cut as the index cuts them.

    Args:
        pages: folder with the pages, `<slug>.md`.
        max_words: longest chunk.

    Raises:
        DataError: the folder is missing, empty or holds broken pages.
    """

    def __init__(self, pages: Path, max_words: int) -> None:
        self._notes: dict[str, list[str]] = {}
        self.topics: dict[str, str] = {}
        for page in read_pages(pages):
            self._notes[page.slug] = [note_text(page.title, one.heading, one.text) for one in cut_page(page, max_words)]
            self.topics[page.slug] = page.topic
        every = [set(_words(note)) for notes in self._notes.values() for note in notes]
        counts = Counter(word for words in every for word in words)
        self._rarity = {word: math.log(len(every) / count) for word, count in counts.items()}

    def best(self, slugs: Sequence[str], question: str, answer: str) -> str:
        """Chunk of the pages that shares most with the question and the answer.

        Raises:
            DataError: a page is not there.
        """
        unknown = [slug for slug in slugs if slug not in self._notes]
        if unknown:
            raise DataError(f"no knowledge page {', '.join(unknown)}", hint="run the stage prepare again")
        wanted = set(_words(f"{question} {answer}"))
        notes = [note for slug in slugs for note in self._notes[slug]]
        return max(notes, key=lambda note: sum(self._rarity[word] for word in set(_words(note)) & wanted))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
