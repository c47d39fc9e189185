"""Builds on a real LanceDB: only what changed is written, and only what is good enough is served."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import lancedb
import pytest
import yaml

from aura.errors import BusyError, DataError, ForeignFolderError
from inference.retrieval.build import IndexReport, build_index, main
from inference.retrieval.releases import read_releases
from inference.retrieval.search import Index
from inference.retrieval.settings import JudgeSettings, RetrievalSettings, SearchSettings
from inference.retrieval.writer_lock import writer_lock

Build = Callable[..., IndexReport]


@pytest.fixture
def build(corpus: Path, writer: ModuleType) -> Build:
    """Builds the corpus with a fresh embedder, or with the one given; settings by keyword."""

    def run(embedder: Any = None, **changes: Any) -> IndexReport:
        paths = (corpus / "index", corpus / "pages", corpus / "queries.jsonl", corpus / "catalog")
        settings = writer.SETTINGS.model_copy(update=changes)
        return build_index(
            settings,
            *paths,
            embedder or writer.WordEmbedder(),
            text_embedders=lambda reference: writer.WordEmbedder(int(reference.removeprefix("words:"))),
        )

    return run


def counts(report: IndexReport, table: str) -> tuple[int, int, int, int]:
    change = getattr(report, table)
    return change.added, change.changed, change.deleted, change.unchanged


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def edit_item(corpus: Path, item_id: str, **changes: Any) -> None:
    path = corpus / "catalog" / "catalog.jsonl"
    items = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [json.dumps(item | changes if item["item_id"] == item_id else item) for item in items]
    path.write_text("\n".join(lines))


def tags(corpus: Path, table: str) -> dict[str, int]:
    listed = lancedb.connect(corpus / "index").open_table(table).tags.list()
    return {name: tag["version"] for name, tag in listed.items()}


def test_the_first_build_serves_everything(build: Build, corpus: Path) -> None:
    report = build()
    assert (report.verdict, report.version, report.serving) == ("promoted", 1, None)
    assert counts(report, "knowledge") == (18, 0, 0, 0)
    assert counts(report, "catalog") == (8, 0, 0, 0)
    assert report.candidate.metrics["recall_at_5"] == 1.0
    assert tags(corpus, "knowledge") == {"serving": report.knowledge.version}
    assert tags(corpus, "catalog") == {"serving": report.catalog.version}
    for table in ("knowledge", "catalog"):
        (index,) = lancedb.connect(corpus / "index").open_table(table).list_indices()
        assert (index.index_type, index.columns) == ("FTS", ["search_text"])


def test_nothing_changed_means_nothing_is_written_or_embedded(build: Build, corpus: Path, writer: ModuleType) -> None:
    first = build()
    embedder = writer.WordEmbedder()
    second = build(embedder)
    assert (second.verdict, second.version) == ("unchanged", 1)
    assert counts(second, "knowledge") == (0, 0, 0, 18)
    assert (second.knowledge.version, second.catalog.version) == (first.knowledge.version, first.catalog.version)
    assert embedder.encoded == [json.loads(line)["query"] for line in (corpus / "queries.jsonl").open()]


def test_only_changed_rows_are_embedded(
    build: Build, corpus: Path, writer: ModuleType, page_writer: Any, item_picture: Any
) -> None:
    first = build()
    edit(corpus / "pages" / "wool-care.md", "Dry knitwear flat", "Dry cardigans flat")
    page_writer(corpus / "pages", "umbrellas", "accessories", "all", "Umbrellas", "Eight ribs hold.", "Dry it open.")
    (corpus / "pages" / "carry-on.md").unlink()
    edit(corpus / "queries.jsonl", '"carry-on"', '"umbrellas"')
    edit_item(corpus, "i02", title="Blue pinstripe shirt")
    item_picture("purple", "plain").save(corpus / "catalog" / "images" / "i03.png")
    embedder = writer.WordEmbedder()
    second = build(embedder)
    assert counts(second, "knowledge") == (3, 1, 3, 14)
    assert counts(second, "catalog") == (0, 2, 0, 6)
    assert (second.verdict, second.version) == ("promoted", 2)
    queries = (corpus / "queries.jsonl").read_text()
    written = [text for text in embedder.encoded if json.dumps(text) not in queries]
    assert len(written) == 3 + 1 + 2
    assert tags(corpus, "knowledge") == {"serving": second.knowledge.version, "previous": first.knowledge.version}
    assert tags(corpus, "catalog") == {"serving": second.catalog.version, "previous": first.catalog.version}
    table = lancedb.connect(corpus / "index").open_table("knowledge")
    slugs = {row["slug"] for row in table.to_arrow().to_pylist()}
    assert "umbrellas" in slugs
    assert "carry-on" not in slugs
    assert table.index_stats("search_text_idx").num_unindexed_rows == 0


def test_a_worse_build_keeps_the_served_release(build: Build, corpus: Path, writer: ModuleType) -> None:
    first = build()
    before = tags(corpus, "knowledge")
    reader = Index.open(corpus / "index", text_embedders=lambda _: writer.WordEmbedder())
    pages = sorted((corpus / "pages").glob("*.md"))
    contents = [page.read_text() for page in pages]
    for page, content in zip(pages, contents[1:] + contents[:1], strict=True):
        page.write_text(content)  # every page now says what its neighbour should
    worse = build(judge=JudgeSettings(page_hit_at_3_floor=0, section_hit_at_3_floor=0, bootstrap_samples=100))
    assert worse.verdict == "rejected"
    assert any("below the served" in reason for reason in worse.reasons)
    assert worse.version == first.version == 1
    assert worse.serving is not None
    assert worse.serving.metrics["ndcg_at_10"] == 1.0 > worse.candidate.metrics["ndcg_at_10"]
    assert tags(corpus, "knowledge") == before
    assert reader.refresh() is False
    assert reader.search_knowledge("merino jumper", 1)[0].slug == "wool-care"
    again = build()
    assert again.verdict == "rejected"
    assert counts(again, "knowledge")[0] == 0


def test_a_first_build_below_the_floor_is_not_served(build: Build, corpus: Path) -> None:
    for page in (corpus / "pages").glob("*.md"):
        front = page.read_text().split("# ", 1)[0]
        page.write_text(re.sub("title: .*", "title: Same", front) + "# Same\n\nNothing of use.\n")
    report = build(judge=JudgeSettings(page_hit_at_3_floor=1.0, section_hit_at_3_floor=0.99, bootstrap_samples=100))
    assert (report.verdict, report.version, report.serving) == ("rejected", None, None)
    assert read_releases(lancedb.connect(corpus / "index")) == {}
    assert tags(corpus, "knowledge") == {}


def test_a_broken_page_stops_the_build_and_not_the_service(build: Build, corpus: Path, writer: ModuleType) -> None:
    build()
    (corpus / "pages" / "broken.md").write_text("no front matter")
    with pytest.raises(DataError, match=r"broken\.md: does not begin with front matter"):
        build()
    (corpus / "pages" / "broken.md").unlink()
    picture = corpus / "catalog" / "images" / "i01.png"
    picture.write_bytes(b"not a picture")
    with pytest.raises(DataError, match=r"cannot read the picture i01\.png"):
        build()
    reader = Index.open(corpus / "index", text_embedders=lambda _: writer.WordEmbedder())
    assert reader.search_catalog("red cotton shirt", 1)[0].item_id == "i01"


@pytest.mark.parametrize("dim", [64, 48])
def test_another_embedding_model_means_a_full_rebuild(build: Build, writer: ModuleType, corpus: Path, dim: int) -> None:
    build()
    other = writer.WordEmbedder(dim)
    other.reference = f"words:0{dim}"  # another name, and with 48 another length too
    report = build(other)
    assert report.verdict == "promoted"
    assert sum(counts(report, "knowledge")[:2]) == 18
    assert sum(counts(report, "catalog")[:2]) == 8
    releases = read_releases(lancedb.connect(corpus / "index"))
    assert releases["serving"].text_embedder == f"words:0{dim}"
    assert releases["previous"].text_embedder == "words:64"
    # The release before, with its own vectors and full-text index, can still be opened.
    table = lancedb.connect(corpus / "index").open_table("knowledge")
    table.checkout("previous")
    assert table.schema.field("vector").type.list_size == 64
    assert len(table.list_indices()) == 1


def test_other_search_settings_are_judged_and_travel_with_the_release(build: Build, corpus: Path) -> None:
    first = build()
    second = build(search=SearchSettings(text_weight=0.25))
    assert (second.verdict, second.version) == ("promoted", 2)
    assert second.knowledge.version == first.knowledge.version
    releases = read_releases(lancedb.connect(corpus / "index"))
    assert releases["serving"].search.text_weight == 0.25
    assert releases["previous"].search.text_weight == 1.0


def test_many_rows_get_a_vector_index_that_finds_the_same(build: Build, corpus: Path, page_writer: Any) -> None:
    words = [f"{a}{b}" for a in "bcdfghklmnprst" for b in ("ala", "emi", "oro")]
    for i in range(90):
        first, second = (f"{words[(i * 7 + j) % 42]} {words[(i * 3 + 5 * j) % 42]} number{i}." for j in (1, 2))
        page_writer(corpus / "pages", f"filler-{i}", "care", "all", f"Filler {i}", first, second)
    report = build(vector_index_min_rows=256, batch_rows=1000)
    assert report.verdict == "promoted"
    table = lancedb.connect(corpus / "index").open_table("knowledge")
    assert {index.index_type for index in table.list_indices()} == {"FTS", "IvfFlat"}
    catalog = lancedb.connect(corpus / "index").open_table("catalog")
    assert {index.index_type for index in catalog.list_indices()} == {"FTS"}
    again = build(vector_index_min_rows=256)
    assert again.verdict == "unchanged"


def test_rows_that_somebody_wrote_twice_are_healed(build: Build, corpus: Path) -> None:
    build()
    table = lancedb.connect(corpus / "index").open_table("knowledge")
    table.add(table.search().where("slug = 'wool-care'").limit(None).to_arrow())
    assert table.count_rows() == 21
    report = build()
    assert counts(report, "knowledge") == (0, 3, 0, 15)
    assert lancedb.connect(corpus / "index").open_table("knowledge").count_rows() == 18


def test_two_writers_do_not_meet(build: Build, corpus: Path) -> None:
    build()
    with writer_lock(str(corpus / "index"), 0.0), pytest.raises(BusyError, match="another build is writing"):
        build()
    assert build().verdict == "unchanged"


def test_an_empty_catalog_can_be_served(build: Build, corpus: Path, writer: ModuleType) -> None:
    (corpus / "catalog" / "catalog.jsonl").write_text("")
    report = build()
    assert report.verdict == "promoted"
    reader = Index.open(corpus / "index", text_embedders=lambda _: writer.WordEmbedder())
    assert reader.search_catalog("shirt") == []


def test_the_stage_writes_its_metrics(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    shutil.copytree(corpus / "pages", data / "knowledge" / "pages")
    shutil.copy(corpus / "queries.jsonl", data / "knowledge" / "queries.jsonl")
    shutil.copytree(corpus / "catalog", data / "catalog")
    params = tmp_path / "params.yaml"
    values = {"profile": "small", "index": {"uri": str(tmp_path)}, "other": 1}
    params.write_text(yaml.safe_dump(values | {"retrieval": {"judge": {"bootstrap_samples": 100}}}))
    out = tmp_path / "metrics" / "index.json"
    arguments = ["--params", str(params), "--data", str(data), "--out", str(out)]
    assert main(arguments) == 0
    written = json.loads(out.read_text())
    assert (written["verdict"], written["version"], written["queries"]) == ("promoted", 1, 6)
    assert written["candidate"]["recall_at_5"] == 1.0
    assert "serving release 1" in capsys.readouterr().out
    # The default model finds what shares no word with the page.
    found = Index.open(tmp_path / "small").search_knowledge("my sweater must not shrink in the laundry", 1)
    assert found[0].slug == "wool-care"

    params.write_text(yaml.safe_dump(values | {"retrieval": {"chunk_words": 5}}))
    assert main(arguments) == 2
    assert "retrieval.chunk_words: unknown key" in capsys.readouterr().err


def test_settings_have_working_defaults() -> None:
    settings = RetrievalSettings()
    assert settings.search.candidates >= 10
    assert settings.judge.tolerance < 0.1


def test_a_table_of_somebody_else_is_not_replaced(corpus: Path, build: Build) -> None:
    connection = lancedb.connect(corpus / "index")
    connection.create_table("catalog", [{"vintage": 1961, "price": 900.0}])
    with pytest.raises(ForeignFolderError, match="Aura did not make the table 'catalog'"):
        build()
    assert connection.open_table("catalog").to_arrow().to_pylist() == [{"vintage": 1961, "price": 900.0}]
