"""Files of the index that are missing or cut off: readers use the release before, the next build mends it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import lancedb
import pytest
from PIL import Image

from aura.errors import ForeignFolderError, IndexNotReadyError
from inference.retrieval.releases import damaged, publish, read_releases, rollback, served_release
from inference.retrieval.search import Index

SOAPS = ("mild soap", "wool detergent", "special detergent")


def change_page(corpus: Path, old: str, new: str) -> None:
    path = corpus / "pages" / "wool-care.md"
    path.write_text(path.read_text().replace(old, new))


@pytest.fixture
def two_releases(corpus: Path, writer: ModuleType) -> Path:
    """A corpus whose index serves release 2, with other rows than release 1."""
    writer.build(corpus)
    change_page(corpus, SOAPS[0], SOAPS[1])
    assert writer.build(corpus).version == 2
    return corpus


def open_index(corpus: Path, writer: ModuleType) -> Index:
    return Index.open(corpus / "index", text_embedders=lambda _: writer.WordEmbedder())


def answers(index: Index) -> list[str]:
    texts = [passage.text for passage in index.search_knowledge("hand wash merino jumpers", 4)]
    return texts + [hit.item_id for hit in index.search_catalog("grey striped blazer", 4)]


def files(corpus: Path, table: str, kind: str) -> list[Path]:
    pattern = {
        "rows": "data/*.lance", "indices": "_indices/*/*.lance", "manifests": "_versions/*.manifest",
        "tags": "_refs/tags/*.json", "everything": "*",
    }[kind]  # fmt: skip
    found = sorted((corpus / "index" / f"{table}.lance").glob(pattern))
    assert found
    return found


def spoil(file: Path, how: str) -> None:
    if file.is_dir():
        shutil.rmtree(file)
    elif how == "gone":
        file.unlink()
    else:
        file.write_bytes(b"" if how == "empty" else file.read_bytes()[: file.stat().st_size // 2])


@pytest.mark.parametrize("how", ["cut", "empty", "gone"])
@pytest.mark.parametrize(
    ("table", "kind"),
    [
        *itertools.product(["knowledge", "catalog"], ["rows", "indices", "manifests", "tags", "everything"]),
        *itertools.product(["releases"], ["rows", "manifests", "everything"]),
    ],
)
def test_the_next_build_mends_it(two_releases: Path, writer: ModuleType, table: str, kind: str, how: str) -> None:
    whole = answers(open_index(two_releases, writer))
    for file in files(two_releases, table, kind):
        spoil(file, how)
    report = writer.build(two_releases)
    assert report.verdict in ("promoted", "unchanged")
    assert answers(open_index(two_releases, writer)) == whole
    assert served_release(two_releases / "index") == report.version
    for release in read_releases(lancedb.connect(two_releases / "index")).values():
        assert not damaged(lancedb.connect(two_releases / "index"), release)
    assert writer.build(two_releases).verdict == "unchanged"
    change_page(two_releases, SOAPS[1], SOAPS[2])
    assert writer.build(two_releases).verdict == "promoted"
    assert SOAPS[2] in " ".join(answers(open_index(two_releases, writer)))


def newest(paths: list[Path]) -> Path:
    return max(paths, key=lambda path: path.stat().st_mtime_ns)


def test_readers_search_the_release_before_until_then(
    two_releases: Path, writer: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    reader = open_index(two_releases, writer)
    index_of_new_rows = newest(files(two_releases, "knowledge", "indices"))
    spoil(index_of_new_rows, "cut")
    assert served_release(two_releases / "index") is None, "the night builds it again"
    second = open_index(two_releases, writer)
    assert second.version == 1
    assert SOAPS[0] in " ".join(answers(second))
    assert "searching release 1, the one before" in caplog.text
    assert writer.build(two_releases).verdict == "promoted"
    for index in (reader, second):
        assert index.refresh()
        assert SOAPS[1] in " ".join(answers(index))


def test_an_index_without_a_whole_release_is_not_ready(two_releases: Path, writer: ModuleType) -> None:
    for file in files(two_releases, "catalog", "rows"):
        spoil(file, "cut")
    with pytest.raises(IndexNotReadyError, match=r"release 1 of the index at .*/index is damaged: catalog") as caught:
        open_index(two_releases, writer)
    assert "aura index build" in caught.value.hint
    assert "/proc/" not in caught.value.message


def test_a_search_that_meets_the_damage_says_so_and_the_next_one_after_a_build_answers(
    two_releases: Path, writer: ModuleType, item_picture: Callable[..., Image.Image]
) -> None:
    reader = open_index(two_releases, writer)
    for table in ("knowledge", "catalog"):
        for file in files(two_releases, table, "rows"):
            spoil(file, "gone")
    with pytest.raises(IndexNotReadyError, match="one of its files is missing or damaged") as caught:
        reader.search_knowledge("merino")
    assert "aura index build" in caught.value.hint
    with pytest.raises(IndexNotReadyError):
        reader.similar_items(item_picture("navy", "plain"))
    writer.build(two_releases)
    assert reader.refresh()
    assert SOAPS[1] in " ".join(answers(reader))


@pytest.mark.parametrize("how", ["cut", "other rows"])
def test_a_rollback_onto_what_is_not_what_was_published_is_refused(
    two_releases: Path, writer: ModuleType, how: str
) -> None:
    connection = lancedb.connect(two_releases / "index")
    before = read_releases(connection)
    if how == "cut":
        old = set(files(two_releases, "knowledge", "indices"))
        spoil(min(old, key=lambda path: path.stat().st_mtime_ns), "cut")
    else:
        # A whole file of the same length with other content: nothing but the hash can tell.
        old_rows = [path for path in files(two_releases, "knowledge", "rows") if SOAPS[0].encode() in path.read_bytes()]
        assert old_rows
        for file in old_rows:
            file.write_bytes(file.read_bytes().replace(SOAPS[0].encode(), b"lye" + b"." * (len(SOAPS[0]) - 3)))
    with pytest.raises(IndexNotReadyError, match="release 1, which would be served, is damaged") as caught:
        rollback(two_releases / "index")
    assert "release 2 stays" in caught.value.hint
    assert read_releases(connection) == before
    assert SOAPS[1] in " ".join(answers(open_index(two_releases, writer)))


def test_a_release_that_cannot_be_hashed_is_told(two_releases: Path, caplog: pytest.LogCaptureFixture) -> None:
    connection = lancedb.connect(two_releases / "index")
    release = read_releases(connection)["serving"]
    for file in files(two_releases, "catalog", "rows"):
        spoil(file, "gone")
    publish(connection, release)
    assert read_releases(connection)["serving"].digest == ""
    assert "release 2 of the index has no digest" in caplog.text


def test_a_rollback_from_a_damaged_release_brings_the_one_before(two_releases: Path, writer: ModuleType) -> None:
    spoil(newest(files(two_releases, "knowledge", "indices")), "gone")
    assert rollback(two_releases / "index").number == 1
    assert SOAPS[0] in " ".join(answers(open_index(two_releases, writer)))
    assert set(read_releases(lancedb.connect(two_releases / "index"))) == {"serving"}


@pytest.mark.parametrize("name", ["elsewhere", "jürgen #1, 100% (new)"])
def test_a_reader_goes_on_where_its_index_was_moved_to(
    two_releases: Path, writer: ModuleType, tmp_path: Path, name: str
) -> None:
    reader = open_index(two_releases, writer)
    moved = tmp_path / name
    two_releases.rename(moved)
    assert not reader.refresh()
    assert SOAPS[1] in " ".join(answers(reader))
    change_page(moved, SOAPS[1], SOAPS[2])
    assert writer.build(moved).version == 3
    assert reader.refresh()
    assert (reader.version, SOAPS[2] in " ".join(answers(reader))) == (3, True)
    assert not two_releases.exists()
    assert not [path for path in tmp_path.iterdir() if path.name != name], "nothing is written beside the home"
    tags = {path.stem for path in files(moved, "knowledge", "tags")}
    assert tags == {"serving", "previous"}


def test_a_reader_follows_an_index_that_was_deleted_and_built_again(two_releases: Path, writer: ModuleType) -> None:
    reader = open_index(two_releases, writer)
    shutil.rmtree(two_releases / "index")
    with pytest.raises(IndexNotReadyError, match="no release of the index is served"):
        reader.refresh()
    change_page(two_releases, SOAPS[1], SOAPS[2])
    writer.build(two_releases)
    assert reader.refresh()
    assert SOAPS[2] in " ".join(answers(reader))


def test_tables_of_somebody_else_are_neither_replaced_nor_set_aside(two_releases: Path, writer: ModuleType) -> None:
    connection = lancedb.connect(two_releases / "index")
    connection.create_table("theirs", [{"a": 1}])
    for file in files(two_releases, "knowledge", "rows"):
        spoil(file, "gone")
    assert writer.build(two_releases).verdict == "promoted"
    assert connection.open_table("theirs").count_rows() == 1
    other = two_releases.with_name("other")
    shutil.copytree(two_releases, other, ignore=shutil.ignore_patterns("index*"))
    lancedb.connect(other / "index").create_table("releases", [{"a": 1}])
    with pytest.raises(ForeignFolderError, match=r"Aura did not make the table 'releases' in .*/other/index"):
        writer.build(other)
    assert lancedb.connect(other / "index").open_table("releases").count_rows() == 1
