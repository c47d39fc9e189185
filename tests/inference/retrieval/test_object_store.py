"""The index in an object store: all that works in a folder, on a real S3 server; and what is told when it is away."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest

from aura.errors import BusyError, IndexUnavailableError, SettingsError
from aura.paths import ProfilePaths
from aura.settings import validate
from inference.retrieval import sync, writer_lock
from inference.retrieval.build import IndexReport, build_index
from inference.retrieval.integrity import KEYS, RELEASES
from inference.retrieval.object_store import local_copy
from inference.retrieval.releases import connect_existing, read_releases, rollback, served_index
from inference.retrieval.search import Index
from inference.retrieval.settings import IndexSettings
from inference.retrieval.writer_lock import Lease
from tests.s3_server import BUCKET, S3Server, s3_server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as running:
        yield running


@pytest.fixture
def uri(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an index that is not there yet."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield f"s3://{BUCKET}/{uuid.uuid4().hex}/sample"
    if not server.is_running:
        server.start()


@pytest.fixture
def another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without the lock files of this one."""
    monkeypatch.setenv("AURA_HOME", str(tmp_path / "another"))


def build(uri: str, corpus: Path, writer: ModuleType) -> IndexReport:
    paths = (corpus / "pages", corpus / "queries.jsonl", corpus / "catalog")
    return build_index(writer.SETTINGS, uri, *paths, writer.WordEmbedder())


def change_page(corpus: Path, old: str, new: str) -> None:
    path = corpus / "pages" / "wool-care.md"
    path.write_text(path.read_text().replace(old, new))


def opened(uri: str, writer: ModuleType) -> Index:
    return Index.open(uri, text_embedders=lambda _: writer.WordEmbedder())


def found(index: Index) -> str:
    passages = index.search_knowledge("hand wash merino jumpers", 3)
    return next(passage.text for passage in passages if passage.chunk_id == "wool-care#first-1")


def test_a_release_is_published_searched_copied_and_rolled_back(
    uri: str, server: S3Server, corpus: Path, writer: ModuleType
) -> None:
    assert build(uri, corpus, writer).verdict == "promoted"
    reader = opened(uri, writer)
    change_page(corpus, "mild soap", "special detergent")
    assert build(uri, corpus, writer).version == 2
    assert "mild soap" in found(reader), "a reader stays until it is told"
    assert reader.refresh()
    assert "special detergent" in found(reader)
    assert [row.item_id for row in reader.catalog().rows][:2] == ["i01", "i02"]
    assert reader.catalog().pictures(reader.catalog().rows[:1])[0].size == (96, 96)

    with local_copy(uri, (*KEYS, RELEASES)) as folder:
        assert served_index(folder) == served_index(uri)
        assert "special detergent" in found(opened(folder, writer))
        server.upload(Path(folder), f"{uri}-moved")
        assert served_index(f"{uri}-moved") == served_index(uri)
    assert not Path(folder).exists()

    assert rollback(uri).number == 1
    assert reader.refresh()
    assert "mild soap" in found(reader)
    assert build(uri, corpus, writer).verdict == "held"


def test_cleanup_keeps_what_is_served(
    uri: str, corpus: Path, writer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "KEEP_VERSIONS", timedelta(0))
    monkeypatch.setattr(sync, "_CLOCK_MARGIN", timedelta(milliseconds=20))
    build(uri, corpus, writer)
    for number in range(2):
        change_page(corpus, "mild soap" if not number else "soap 0", f"soap {number}")
        time.sleep(0.05)
        assert build(uri, corpus, writer).verdict == "promoted"
    knowledge = connect_existing(uri).open_table("knowledge")
    assert min(version["version"] for version in knowledge.list_versions()) > 1
    assert "soap 1" in found(opened(uri, writer))
    rollback(uri)
    assert "soap 0" in found(opened(uri, writer))


@pytest.mark.usefixtures("another_machine")
def test_a_writer_on_another_machine_waits(
    uri: str, corpus: Path, writer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with writer_lock.writer_lock(uri, 0.0):
        monkeypatch.setenv("AURA_HOME", str(tmp_path / "here"))
        with pytest.raises(BusyError, match=r"process \d+ of .* is writing to the index at s3://"):
            build(uri, corpus, writer)
    assert build(uri, corpus, writer).verdict == "promoted"


def test_the_lock_of_a_killed_writer_ends(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that is not killed but stopped finds out before it publishes."""
    monkeypatch.setattr(writer_lock, "LEASE_SECONDS", 1.0)
    with Lease(uri, 0.0) as stopped:  # it renews after 15 seconds, too late
        stopped.check()
        with Lease(uri, 30.0) as lease:
            lease.check()
            with pytest.raises(BusyError, match="another writer may have begun"):
                stopped.check()


def test_of_writers_at_one_moment_one_holds_the_lock(uri: str) -> None:
    holding, most = threading.Semaphore(1), []

    def write() -> None:
        with Lease(uri, 60.0):
            alone = holding.acquire(blocking=False)
            time.sleep(0.05)
            most.append(alone)
            if alone:
                holding.release()

    with Lease(uri, 60.0):
        writers = [threading.Thread(target=write) for _ in range(3)]
        for thread in writers:
            thread.start()
    for thread in writers:
        thread.join(120)
    assert most == [True] * 3


def test_a_store_that_is_away_is_told_and_nothing_is_taken_for_damaged(
    uri: str, server: S3Server, corpus: Path, writer: ModuleType
) -> None:
    build(uri, corpus, writer)
    reader = opened(uri, writer)
    reader.probe()
    server.stop()
    change_page(corpus, "mild soap", "special detergent")
    for attempt in (
        lambda: opened(uri, writer),
        lambda: build(uri, corpus, writer),
        lambda: rollback(uri),
        lambda: served_index(uri),
        reader.probe,
    ):
        with pytest.raises(IndexUnavailableError, match="the object store of the index does not answer: ") as told:
            attempt()
        assert "AWS_ENDPOINT_URL" in told.value.hint
        assert told.value.transient
        assert "\n" not in told.value.message
    server.start()
    reader.probe()
    assert "mild soap" in found(reader)
    assert list(read_releases(connect_existing(uri))) == ["serving"]
    assert build(uri, corpus, writer).version == 2


def test_a_bucket_that_is_not_there_is_told(uri: str, corpus: Path, writer: ModuleType) -> None:
    with pytest.raises(IndexUnavailableError, match="has no such bucket"):
        build(uri.replace(f"s3://{BUCKET}/", "s3://no-such-bucket/"), corpus, writer)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("db://aura-index", "no build could be judged before it is served"),
        ("gs://aura/index", "the index lies in a folder or at s3://BUCKET/PATH"),
        ("s3://", "names no bucket"),
        ("s3://KEY1234567890abcdefgh@aura/index", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_an_address_that_can_hold_no_index_is_refused(address: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        validate(IndexSettings, {"uri": address}, "index")


def test_profiles_share_an_address_and_no_index(tmp_path: Path) -> None:
    paths = ProfilePaths(home=tmp_path, profile="sample")
    assert IndexSettings(uri="s3://aura/index/").address(paths) == "s3://aura/index/sample"
    assert IndexSettings().address(paths) == str(tmp_path / "index" / "sample")
