"""Searching pages without a served index: what it finds is what the served index finds."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from aura.errors import DataError
from aura.paths import repo_root
from inference.retrieval.knowledge_search import KnowledgeSearch
from inference.retrieval.search import Index
from inference.retrieval.settings import RetrievalSettings

QUERIES = ["how do i wash a merino jumper", "silk lapels", "shoes for a trip in rain", "the of and"]


def test_it_finds_what_the_served_index_finds(corpus: Path, writer: ModuleType) -> None:
    writer.build(corpus)
    index = Index.open(corpus / "index", text_embedders=lambda _: writer.WordEmbedder())
    with KnowledgeSearch(corpus / "pages", writer.SETTINGS, writer.WordEmbedder()) as knowledge:
        for query in QUERIES:
            found = knowledge.search(query, 5)
            served = index.search_knowledge(query, 5)
            assert [replace(one, relevance=0, similarity=0) for one in found] == [
                replace(one, relevance=0, similarity=0) for one in served
            ]
            for one, other in zip(found, served, strict=True):
                assert (one.relevance, one.similarity) == pytest.approx((other.relevance, other.similarity), abs=1e-5)
            assert len(found) == 5
        assert {passage.topic for passage in knowledge.search("socks", 9, {"topic": "travel"})} == {"travel"}


def test_the_scratch_folder_is_removed_also_when_the_build_fails(
    corpus: Path, writer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    knowledge = KnowledgeSearch(corpus / "pages", writer.SETTINGS, writer.WordEmbedder())
    assert list(scratch.iterdir())
    knowledge.close()
    assert not list(scratch.iterdir())

    class Misshapen(writer.WordEmbedder):  # type: ignore[name-defined, misc]
        def encode(self, texts):  # type: ignore[no-untyped-def]
            return super().encode(texts)[:, :3]

    with pytest.raises(ValueError, match="expected finite vectors"):
        KnowledgeSearch(corpus / "pages", writer.SETTINGS, Misshapen())
    assert not list(scratch.iterdir())


def test_broken_pages_are_named(corpus: Path, writer: ModuleType) -> None:
    (corpus / "pages" / "black-tie.md").write_text("no front matter")
    with pytest.raises(DataError, match=r"black-tie\.md"):
        KnowledgeSearch(corpus / "pages", writer.SETTINGS, writer.WordEmbedder())


def test_the_repositorys_pages_with_the_real_embedder() -> None:
    with KnowledgeSearch(repo_root() / "data" / "knowledge", RetrievalSettings()) as knowledge:
        inside = knowledge.search("how hot may I wash a merino jumper?", 3)
        outside = knowledge.search("who won the world cup in 2018?", 3)
    assert "wool" in inside[0].text.lower() or "merino" in inside[0].text.lower()
    assert max(passage.similarity for passage in inside) > max(passage.similarity for passage in outside) + 0.2
