"""The passages of a training example, and the sentences in them that answer.

They are found by the search that serving uses, over the same pages (`inference.retrieval.knowledge_search`). When the passage
that supports the answer is missed, it takes the first place: an answer without its source would teach the model to invent. A
dialogue names its pages, not its passage: the sentences with the answer's facts (`training.chat.alignment`) tell which it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np

from aura.errors import DataError
from inference.chat.passages import ChatPassage, search_query, source_of
from inference.chat.sentences import quotable_sentences
from inference.remembering_embedder import RememberingEmbedder
from inference.retrieval.chunks import cut_page, read_pages
from inference.retrieval.knowledge_search import KnowledgeSearch
from inference.retrieval.settings import RetrievalSettings
from inference.text_embedding import text_embedder_for
from training.chat.alignment import aligned_sentences


@dataclass(frozen=True)
class Support:
    """What an answer rests on: sentences of the pages, and the passage that holds most of them."""

    sentences: list[str]
    passage: ChatPassage


class PassageFinder:
    """Passages of a folder of pages; close it, or use it in a `with` block.

    Attributes:
        topics: topic of each page, by its slug.
        embedder: embeds queries and sentences; what is embedded ahead, many texts at once, is found again.

    Raises:
        DataError: the folder is missing, empty or holds broken pages.
        ArtifactError: the embedding model cannot be loaded.
    """

    def __init__(self, pages: Path, settings: RetrievalSettings) -> None:
        self.topics: dict[str, str] = {}
        self._of_page: dict[str, list[ChatPassage]] = {}
        for page in read_pages(pages):
            self.topics[page.slug] = page.topic
            chunks = cut_page(page, settings.chunk_max_words)
            self._of_page[page.slug] = [
                ChatPassage(source=source_of(page.title, c.heading), text=c.text) for c in chunks
            ]
        self._slugs = {
            (passage.source, passage.text): slug for slug, passages in self._of_page.items() for passage in passages
        }
        self.embedder = RememberingEmbedder(text_embedder_for(settings.text_embedder))
        self._pages, self._settings = pages, settings

    def retrieve(self, messages: Sequence[Mapping[str, str]], count: int) -> list[ChatPassage]:
        """What serving finds for the last question of a conversation, best first.

        Raises:
            InvalidRequestError: there is no question.
        """
        found = self._search.search(search_query(messages), count)
        return [
            ChatPassage(
                source=source_of(hit.title, hit.heading),
                text=hit.text,
                similarity=hit.similarity,
                relevance=hit.relevance,
            )
            for hit in found
        ]

    @cached_property
    def _search(self) -> KnowledgeSearch:
        return KnowledgeSearch(self._pages, self._settings, self.embedder)

    def passages(self) -> list[ChatPassage]:
        """All passages of all pages."""
        return [passage for passages in self._of_page.values() for passage in passages]

    def page_of(self, passage: ChatPassage) -> str:
        """Slug of the page that holds a passage."""
        return self._slugs[passage.source, passage.text]

    def support(self, slugs: Sequence[str], answer: str) -> Support | None:
        """What an answer rests on in these pages; None where no sentence of them says anything of it.

        Raises:
            DataError: a page is not there.
        """
        unknown = [slug for slug in slugs if slug not in self._of_page]
        if unknown:
            raise DataError(f"no knowledge page {', '.join(unknown)}", hint="run the stage prepare again")
        passages = [passage for slug in slugs for passage in self._of_page[slug]]
        sentences = [quotable_sentences(passage.text) for passage in passages]
        chosen = aligned_sentences(answer, [sentence for of in sentences for sentence in of], self.embedder.encode)
        if not chosen:
            return None
        held = [sum(sentence in chosen for sentence in of) for of in sentences]
        return Support(chosen, passages[int(np.argmax(held))])

    def close(self) -> None:
        """Remove what the search has written."""
        if "_search" in self.__dict__:
            self._search.close()

    def __enter__(self) -> PassageFinder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def with_support(retrieved: Sequence[ChatPassage], support: ChatPassage) -> list[ChatPassage]:
    """The retrieved passages; the supporting one comes first, and the last one goes, if it is not among them."""
    if any(passage.text == support.text for passage in retrieved):
        return list(retrieved)
    return [support, *retrieved[:-1]]
