"""Search over knowledge pages without a served index, for training and evaluation.

Pages are cut, embedded and searched by the code that builds and reads the index, so that a question finds here what it will find
when the index of these pages and settings is served.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import lancedb

from aura.scratch import scratch_folder
from inference.retrieval.chunks import read_pages
from inference.retrieval.filters import Filters
from inference.retrieval.search import Passage, find_passages, text_embedder_for
from inference.retrieval.settings import RetrievalSettings
from inference.retrieval.sync import sync_table
from inference.retrieval.tables import TextEmbedderLike, knowledge_source


class KnowledgeSearch:
    """An index of knowledge pages in a temporary folder, which `close` or the end of a `with` block removes.

    Args:
        pages_dir: folder with the pages, `<slug>.md`.
        settings: the `retrieval:` section of a profile.
        embedder: overrides the model that `settings.text_embedder` names.

    Raises:
        DataError: the folder is missing or empty, or pages are broken (all of them are listed).
        ArtifactError: the embedding model cannot be loaded.
    """

    def __init__(self, pages_dir: Path, settings: RetrievalSettings, embedder: TextEmbedderLike | None = None) -> None:
        pages = read_pages(pages_dir)
        self._embedder = embedder or text_embedder_for(settings.text_embedder)
        self._search_settings = settings.search
        with ExitStack() as stack:
            folder = stack.enter_context(
                scratch_folder(Path(tempfile.gettempdir()), "aura-knowledge-", marked_only=True)
            )
            connection = lancedb.connect(folder)
            source = knowledge_source(pages, settings.chunk_max_words, self._embedder)
            sync_table(connection, source, settings)
            self._table = connection.open_table(source.name)
            self._opened = stack.pop_all()

    def search(self, query: str, k: int = 5, filters: Filters | None = None) -> list[Passage]:
        """The `k` best chunks, best first; arguments and errors are those of `Index.search_knowledge`."""
        return find_passages(self._table, self._embedder, self._search_settings, query, k, filters)

    def close(self) -> None:
        """Remove the temporary folder; no search may follow."""
        self._opened.close()

    def __enter__(self) -> KnowledgeSearch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
