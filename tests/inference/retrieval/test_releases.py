"""What is served: the tags follow the releases, rollback swaps, readers move only when they are told to."""

from __future__ import annotations

import time
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import lancedb
import pytest

from aura.errors import BusyError, IndexNotReadyError
from inference.retrieval import sync
from inference.retrieval.releases import read_releases, rollback
from inference.retrieval.search import Index
from inference.retrieval.writer_lock import writer_lock


def open_index(corpus: Path, writer: ModuleType) -> Index:
    return Index.open(corpus / "index", text_embedders=lambda _: writer.WordEmbedder())


def change_page(corpus: Path, soap: str) -> None:
    path = corpus / "pages" / "wool-care.md"
    path.write_text(path.read_text().replace("mild soap", soap))


def text_of(index: Index) -> str:
    passages = index.search_knowledge("hand wash merino jumpers", 3)
    return next(passage.text for passage in passages if passage.chunk_id == "wool-care#first-1")


def assert_tags_say_what_the_releases_say(corpus: Path) -> None:
    connection = lancedb.connect(corpus / "index")
    releases = read_releases(connection)
    for table, field in (("knowledge", "knowledge_version"), ("catalog", "catalog_version")):
        tags = {name: tag["version"] for name, tag in connection.open_table(table).tags.list().items()}
        assert tags == {name: getattr(release, field) for name, release in releases.items()}


def test_a_missing_index_says_what_to_do_and_creates_nothing(tmp_path: Path) -> None:
    with pytest.raises(IndexNotReadyError, match="aura index build"):
        Index.open(tmp_path / "index")
    with pytest.raises(IndexNotReadyError, match="aura index build"):
        rollback(tmp_path / "index")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "index").mkdir()
    with pytest.raises(IndexNotReadyError, match="no release of the index is served"):
        Index.open(tmp_path / "index")


def test_a_reader_follows_only_when_it_refreshes(corpus: Path, writer: ModuleType) -> None:
    writer.build(corpus)
    reader = open_index(corpus, writer)
    change_page(corpus, "special detergent")
    writer.build(corpus)
    assert reader.version == 1
    assert "mild soap" in text_of(reader)
    assert reader.refresh() is True
    assert reader.version == 2
    assert "special detergent" in text_of(reader)
    assert reader.refresh() is False
    assert_tags_say_what_the_releases_say(corpus)


def test_rollback_swaps_and_a_second_one_swaps_back(corpus: Path, writer: ModuleType) -> None:
    writer.build(corpus)
    with pytest.raises(IndexNotReadyError, match="nothing to roll back to"):
        rollback(corpus / "index")
    change_page(corpus, "special detergent")
    writer.build(corpus)
    reader = open_index(corpus, writer)

    assert rollback(corpus / "index").number == 1
    assert reader.refresh() is True
    assert (reader.version, "mild soap" in text_of(reader)) == (1, True)
    assert_tags_say_what_the_releases_say(corpus)

    assert rollback(corpus / "index").number == 2
    assert reader.refresh() is True
    assert "special detergent" in text_of(reader)
    assert_tags_say_what_the_releases_say(corpus)


def test_what_was_rolled_back_is_not_served_again_until_it_changes(corpus: Path, writer: ModuleType) -> None:
    writer.build(corpus)
    change_page(corpus, "special detergent")
    writer.build(corpus)
    rollback(corpus / "index")
    held = writer.build(corpus)
    assert (held.verdict, held.version) == ("held", 1)
    assert "release 2 has this content and was rolled back" in held.reasons[0]
    path = corpus / "pages" / "wool-care.md"
    path.write_text(path.read_text().replace("special detergent", "wool detergent"))
    after = writer.build(corpus)
    assert (after.verdict, after.version) == ("promoted", 3)
    releases = read_releases(lancedb.connect(corpus / "index"))
    assert (releases["serving"].number, releases["previous"].number) == (3, 1)
    assert_tags_say_what_the_releases_say(corpus)


def test_rollback_waits_for_a_build(corpus: Path, writer: ModuleType) -> None:
    writer.build(corpus)
    with writer_lock(str(corpus / "index"), 0.0), pytest.raises(BusyError):
        rollback(corpus / "index", writer_wait_s=0.0)


def test_cleanup_keeps_what_is_served_and_drops_what_is_older(
    corpus: Path, writer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the tags a week old a plain `optimize` fails; here a week lasts no time at all."""
    monkeypatch.setattr(sync, "KEEP_VERSIONS", timedelta(0))
    monkeypatch.setattr(sync, "_CLOCK_MARGIN", timedelta(milliseconds=20))
    soaps = ["mild soap", *(f"soap number {number}" for number in range(4))]
    writer.build(corpus)
    for old, new in pairwise(soaps):
        path = corpus / "pages" / "wool-care.md"
        path.write_text(path.read_text().replace(old, new))
        time.sleep(0.05)
        assert writer.build(corpus).verdict == "promoted"
    knowledge = lancedb.connect(corpus / "index").open_table("knowledge")
    with pytest.raises(RuntimeError, match="tagged version"):
        knowledge.optimize(cleanup_older_than=timedelta(milliseconds=1))
    # When release 5 was built, release 3 was `previous`; nothing before it is left.
    releases = read_releases(lancedb.connect(corpus / "index"))
    kept = [version["version"] for version in knowledge.list_versions()]
    assert releases["previous"].number == 4
    assert min(kept) > 1
    assert len(kept) < 16
    reader = open_index(corpus, writer)
    assert soaps[-1] in text_of(reader)
    rollback(corpus / "index")
    assert reader.refresh() is True
    assert soaps[-2] in text_of(reader)


def test_a_release_from_before_scores_were_fused_is_searched_as_it_was_judged(corpus: Path, writer: ModuleType) -> None:
    writer.build(corpus)
    connection = lancedb.connect(corpus / "index")
    old = '{"candidates":50,"rrf_k":60,"vector_weight":4.0,"text_weight":1.0}'
    connection.open_table("releases").update(values={"search": old})
    reader = open_index(corpus, writer)
    assert (reader.release.search.fusion, reader.release.search.rrf_k) == ("ranks", 60)
    assert reader.search_knowledge("hand wash merino jumpers", 1)[0].relevance == pytest.approx(4 / 61 + 1 / 61)
    newer = writer.build(corpus)
    assert (newer.verdict, newer.version) == ("promoted", 2)
    assert reader.refresh()
    assert reader.release.search.fusion == "scores"
    assert rollback(corpus / "index").search.fusion == "ranks"
