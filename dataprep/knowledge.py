"""The knowledge base of the prepared data: pages and labelled queries, checked as the index build will check them."""

from __future__ import annotations

import shutil
from pathlib import Path

from aura.prepared_rows import write_rows
from inference.retrieval.chunks import read_pages
from inference.retrieval.judge import read_queries


def copy_knowledge(knowledge_dir: Path, out: Path) -> set[str]:
    """Copy pages and queries; returns the slugs of the pages.

    Raises:
        DataError: pages or queries are missing or broken.
    """
    pages = read_pages(knowledge_dir)
    queries = read_queries(knowledge_dir / "queries", pages)
    slugs = {page.slug for page in pages}
    (out / "pages").mkdir(parents=True)
    for slug in sorted(slugs):
        shutil.copyfile(knowledge_dir / f"{slug}.md", out / "pages" / f"{slug}.md")
    write_rows(out / "queries.jsonl", queries)
    return slugs
