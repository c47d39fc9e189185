"""The passages of a training example, in the number and order that serving sends.

Serving looks up the question and puts the best chunks of all pages before it, so an example gets as many, ranked by the
question alone: the model learns to find what it needs among irrelevant passages. A ranking by shared
words, rare ones counting more, stands in for the index's hybrid search, which would need an index and an embedding model
here; both give as many passages, best first, though not always the same ones.

When the chunk that supports the answer is missed, it takes the last place: an answer without its source would teach the
model to invent. A dialogue names its pages, not its chunk, so the words of the answer find the chunk. The
prompt's budget may still cut it, as in serving.
"""

from __future__ import annotations

import heapq
import math
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from aura.errors import DataError
from inference.chat.passages import passage_text
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
        self.topics: dict[str, str] = {}
        self._passages: list[str] = []
        self._of_page: dict[str, list[int]] = {}
        self._holders: dict[str, list[int]] = defaultdict(list)
        for page in read_pages(pages):
            begin = len(self._passages)
            for chunk in cut_page(page, max_words):
                passage = passage_text(page.title, chunk.heading, chunk.text)
                for word in _words(passage):
                    self._holders[word].append(len(self._passages))
                self._passages.append(passage)
            self._of_page[page.slug] = list(range(begin, len(self._passages)))
            self.topics[page.slug] = page.topic

    def retrieve(self, query: str, count: int) -> list[str]:
        """The chunks of all pages that share most with the query, best first."""
        scores = self._scores(query)
        return [self._passages[index] for index in heapq.nlargest(count, range(len(scores)), key=scores.__getitem__)]

    def support(self, slugs: Sequence[str], question: str, answer: str) -> str:
        """The chunk of these pages that shares most with the question and the answer.

        Raises:
            DataError: a page is not there.
        """
        unknown = [slug for slug in slugs if slug not in self._of_page]
        if unknown:
            raise DataError(f"no knowledge page {', '.join(unknown)}", hint="run the stage prepare again")
        scores = self._scores(f"{question} {answer}")
        return self._passages[max((index for slug in slugs for index in self._of_page[slug]), key=scores.__getitem__)]

    def _scores(self, text: str) -> list[float]:
        """Per chunk, the summed rarity (log of the inverse share of chunks) of the words that it shares with a text."""
        scores = [0.0] * len(self._passages)
        for word in _words(text):
            holders = self._holders.get(word, [])
            for index in holders:
                scores[index] += math.log(len(self._passages) / len(holders))
        return scores


def with_support(retrieved: Sequence[str], support: str) -> list[str]:
    """The retrieved passages in their order; the supporting one replaces the last if it is not among them."""
    return list(retrieved) if support in retrieved else [*retrieved[:-1], support]


def _words(text: str) -> list[str]:
    """Each word once, in the order of appearance: a set's order would let sums, and so ties, differ between processes."""
    return list(dict.fromkeys(_WORD.findall(text.lower())))
