"""A build that is killed at any of its writes leaves what was served, and the next build finishes the work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import lancedb
import pytest

from aura.errors import BusyError, IndexNotReadyError
from aura.paths import repo_root
from inference.retrieval.releases import read_releases
from inference.retrieval.search import Index

SCRIPT = Path(__file__).with_name("writer_process.py")


def start(*arguments: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(repo_root()), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def change(corpus: Path, page_writer: object) -> None:
    """One page edited, one added, one item gone: every kind of write happens in the next build."""
    path = corpus / "pages" / "wool-care.md"
    path.write_text(path.read_text().replace("mild soap", "wool detergent"))
    assert callable(page_writer)
    page_writer(corpus / "pages", "umbrellas", "accessories", "all", "Umbrellas", "Eight ribs hold.", "Dry it open.")
    catalog = corpus / "catalog" / "catalog.jsonl"
    catalog.write_text("\n".join(line for line in catalog.read_text().splitlines() if "i08" not in line))


def rows(corpus: Path, table: str) -> list[tuple[str, str]]:
    key = {"knowledge": "chunk_id", "catalog": "item_id"}[table]
    stored = lancedb.connect(corpus / "index").open_table(table).to_arrow().to_pylist()
    return sorted((row[key], row["content_hash"]) for row in stored)


def open_index(corpus: Path, writer: ModuleType) -> Index:
    return Index.open(corpus / "index", text_embedders=lambda _: writer.WordEmbedder())


def answers(index: Index) -> list[str]:
    texts = [passage.text for passage in index.search_knowledge("hand wash merino jumpers", 4)]
    return texts + [hit.item_id for hit in index.search_catalog("grey striped blazer", 4)]


def assert_tags_protect_what_is_served(corpus: Path) -> None:
    connection = lancedb.connect(corpus / "index")
    for release in read_releases(connection).values():
        for table, version in (("knowledge", release.knowledge_version), ("catalog", release.catalog_version)):
            tagged = {tag["version"] for tag in connection.open_table(table).tags.list().values()}
            assert version in tagged


@pytest.mark.parametrize("first_build", [True, False], ids=["first build", "update"])
def test_a_killed_build_is_finished_by_the_next(
    first_build: bool, corpus: Path, writer: ModuleType, page_writer: object, tmp_path: Path
) -> None:
    if not first_build:
        writer.build(corpus)
        change(corpus, page_writer)
    whole = tmp_path / "whole"
    shutil.copytree(corpus, whole)
    old = None if first_build else answers(open_index(corpus, writer))
    writer.build(whole)
    new = answers(open_index(whole, writer))
    assert new != old

    # An odd step alternates between kills before and after a write; 1 tries them all.
    process = start("kill", str(corpus), os.environ.get("AURA_TEST_KILL_STEP", "3"))
    output, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    kills = [int(line) for line in output.split()]
    assert len(kills) >= 5
    for kill in kills:
        folder = corpus.with_name(f"{corpus.name}-{kill}")
        assert_tags_protect_what_is_served(folder)
        try:
            assert answers(open_index(folder, writer)) in (old, new), kill
        except IndexNotReadyError:
            assert first_build
        report = writer.build(folder)
        assert report.verdict in ("promoted", "unchanged"), kill
        assert answers(open_index(folder, writer)) == new, kill
        for table in ("knowledge", "catalog"):
            assert rows(folder, table) == rows(whole, table)
        releases = read_releases(lancedb.connect(folder / "index"))
        assert releases["serving"].number == (1 if first_build else 2)
        assert_tags_protect_what_is_served(folder)
        assert set(lancedb.connect(folder / "index").open_table("knowledge").tags.list()) == set(releases)
        assert writer.build(folder).verdict == "unchanged"


def test_readers_see_what_is_served_while_a_build_writes(corpus: Path, writer: ModuleType, page_writer: object) -> None:
    writer.build(corpus)
    reader = open_index(corpus, writer)
    old = answers(reader)
    change(corpus, page_writer)
    process = start("pause", str(corpus), "5")
    deadline = time.monotonic() + 60
    while not (corpus / "paused").exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    # The writer stands between two commits: its rows are in the table, but no reader looks there.
    newest = lancedb.connect(corpus / "index").open_table("knowledge")
    assert "wool detergent" in " ".join(newest.to_arrow()["text"].to_pylist())
    assert reader.refresh() is False
    assert answers(reader) == answers(open_index(corpus, writer)) == old
    with pytest.raises(BusyError, match="another build is writing"):
        writer.build(corpus)
    (corpus / "continue").touch()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert answers(reader) == old
    assert reader.refresh() is True
    assert answers(reader) != old
    assert reader.version == 2
