"""Searching a served index: filters, categories, pictures, and requests that cannot be answered."""

from __future__ import annotations

import math
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import lancedb
import pytest

from aura.errors import InvalidRequestError
from aura.taxonomy import Category
from inference.retrieval.hybrid import hybrid_rows
from inference.retrieval.knowledge_search import KnowledgeSearch
from inference.retrieval.search import Index
from inference.retrieval.settings import SearchSettings


@pytest.fixture
def index(corpus: Path, writer: ModuleType) -> Index:
    writer.build(corpus)
    return Index.open(corpus / "index", text_embedders=lambda _: writer.WordEmbedder())


def test_the_best_passage_comes_first_with_its_page(index: Index) -> None:
    passages = index.search_knowledge("wash merino jumpers with soap", 4)
    assert len(passages) == 4
    best = passages[0]
    assert (best.slug, best.title, best.heading) == ("wool-care", "Washing wool", "First")
    assert (best.topic, best.season) == ("care", "winter")
    assert [passage.relevance for passage in passages] == sorted((p.relevance for p in passages), reverse=True)
    assert len({passage.chunk_id for passage in passages}) == 4


def test_filters_keep_pages_that_hold_for_all(index: Index) -> None:
    found = index.search_knowledge("socks", 50, {"season": "summer"})
    assert {passage.season for passage in found} == {"summer", "all"}
    found = index.search_knowledge("socks", 50, {"season": ["summer", "winter"], "topic": "care"})
    assert {passage.slug for passage in found} == {"wool-care"}
    assert index.search_knowledge("socks", 50, {"topic": "sustainability"}) == []


@pytest.mark.parametrize(
    ("filters", "complaint"),
    [
        ({"weather": "rain"}, "unknown filter 'weather'; known: topic, season"),
        ({"season": "monsoon"}, "filter season got 'monsoon'; allowed: all, spring"),
        ({"topic": ["care", "x' OR 1=1"]}, "filter topic got"),
        ({"topic": []}, "filter topic got"),
    ],
)
def test_a_wrong_filter_is_named(index: Index, filters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        index.search_knowledge("socks", 5, filters)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("query", ["", "   ", "\n\t"])
def test_an_empty_query_is_refused(index: Index, query: str) -> None:
    with pytest.raises(InvalidRequestError, match="query is empty"):
        index.search_knowledge(query)
    with pytest.raises(InvalidRequestError, match="query is empty"):
        index.search_catalog(query)


def test_blanks_around_a_query_do_not_count(index: Index) -> None:
    blanks = " \n" * 2000
    asked = "wash merino jumpers with soap"
    assert index.search_knowledge(f"{blanks}{asked}{blanks}", 4) == index.search_knowledge(asked, 4)
    assert index.search_catalog(f"{blanks}shirt{blanks}", 4) == index.search_catalog("shirt", 4)


def test_an_overlong_query_is_refused(index: Index) -> None:
    with pytest.raises(InvalidRequestError, match="2001 characters; at most 2000"):
        index.search_knowledge("x" * 2001)


@pytest.mark.parametrize("query", ["the of and", "!!!", '"wash" AND (merino OR', "l'été 100 % \\ * ? ~", "羊毛"])
def test_odd_queries_are_answered(index: Index, query: str) -> None:
    assert len(index.search_knowledge(query, 3)) == 3
    assert len(index.search_catalog(query, 3)) == 3


def test_k_must_be_positive_and_may_exceed_what_there_is(index: Index) -> None:
    with pytest.raises(ValueError, match="k must be at least 1"):
        index.search_knowledge("socks", 0)
    assert len(index.search_catalog("shirt", 100)) == 8


def test_the_catalog_is_filtered_by_category(index: Index) -> None:
    hits = index.search_catalog("blue shirt", 5)
    assert hits[0].item_id == "i02"
    assert (hits[0].category, hits[0].attributes) == (Category.TOPS, {"pattern": "striped"})
    assert [hit.item_id for hit in index.search_catalog("blue shirt", 5, "bottoms")] == ["i03", "i04"]
    assert {hit.category for hit in index.search_catalog("blue", 5, Category.OUTERWEAR)} == {Category.OUTERWEAR}
    assert index.search_catalog("blue", 5, Category.HATS) == []
    with pytest.raises(InvalidRequestError, match="unknown category 'capes'; allowed: tops"):
        index.search_catalog("blue", 5, "capes")


def test_similar_items_are_found_by_picture(index: Index, item_picture: Any) -> None:
    hits = index.similar_items(item_picture("red", "plain", (150, 150)), 3)
    assert [hit.item_id for hit in hits[:2]] == ["i01", "i04"]
    assert 0.95 < hits[0].relevance <= 1.0001
    assert [hit.relevance for hit in hits] == sorted((hit.relevance for hit in hits), reverse=True)
    bottoms = index.similar_items(item_picture("red", "plain"), 5, category="bottoms")
    assert [hit.item_id for hit in bottoms] == ["i04", "i03"]
    with pytest.raises(InvalidRequestError, match="unknown category"):
        index.similar_items(item_picture("red", "plain"), 3, "capes")
    with pytest.raises(ValueError, match="k must be at least 1"):
        index.similar_items(item_picture("red", "plain"), 0)


def test_the_catalog_of_a_release_is_what_its_searches_find_and_stays_so(
    index: Index, corpus: Path, writer: ModuleType, item_picture: Any
) -> None:
    catalog = index.catalog()
    assert {hit.item_id for hit in index.search_catalog("shirt", 100)} == {row.item_id for row in catalog.rows}
    by_search = {hit.item_id: hit for hit in index.search_catalog("shirt", 100)}
    assert [row.model_dump() for row in catalog.rows] == [
        by_search[row.item_id].model_dump(exclude={"relevance"}) for row in catalog.rows
    ]
    colour, pattern = "red", "plain"
    assert catalog.pictures(catalog.rows)[0].tobytes() == item_picture(colour, pattern).tobytes()

    lines = (corpus / "catalog" / "catalog.jsonl").read_text().splitlines()
    (corpus / "catalog" / "catalog.jsonl").write_text("\n".join([*lines[:5], lines[5].replace("i06", "i99")]) + "\n")
    item_picture("navy", pattern).save(corpus / "catalog" / "images" / "i01.png")
    item_picture("green", pattern).save(corpus / "catalog" / "images" / "i99.png")
    writer.build(corpus)
    assert index.refresh()
    newer = index.catalog()
    assert (newer.version, catalog.version) == (2, 1)
    assert [row.item_id for row in newer.rows] == ["i01", "i02", "i03", "i04", "i05", "i99"]
    assert newer.pictures(newer.rows[:1])[0].tobytes() == item_picture("navy", pattern).tobytes()
    assert catalog.pictures(catalog.rows)[0].tobytes() == item_picture(colour, pattern).tobytes()
    unchanged = {row.item_id for row, known in zip(newer.rows, newer.hashes, strict=True) if known in catalog.hashes}
    assert unchanged == {"i02", "i03", "i04", "i05"}


def test_a_leg_of_weight_zero_does_not_run(corpus: Path, writer: ModuleType) -> None:
    writer.build(corpus)
    table = lancedb.connect(corpus / "index").open_table("knowledge")
    query = "merino jumpers"
    vector = writer.WordEmbedder().encode([query])[0]

    def ids(**weights: float) -> list[str]:
        rows = hybrid_rows(table, query, vector, SearchSettings(**weights), 20, ["chunk_id"], None)
        return [row["chunk_id"] for row in rows]

    by_words, by_vector, by_both = ids(vector_weight=0), ids(text_weight=0), ids()
    assert by_words == ["wool-care#first-1"]
    assert len(by_vector) == len(by_both) == 18
    assert by_vector[0] == by_both[0] == "wool-care#first-1"


def test_fused_scores_by_hand(corpus: Path, writer: ModuleType) -> None:
    writer.build(corpus)
    table = lancedb.connect(corpus / "index").open_table("knowledge")
    query = "merino jumpers"
    vector = writer.WordEmbedder().encode([query])[0]
    settings = SearchSettings(fusion="ranks", rrf_k=10, vector_weight=2.0, text_weight=0.5)
    rows = hybrid_rows(table, query, vector, settings, 3, ["chunk_id"], None)
    assert rows[0]["relevance"] == pytest.approx(2.0 / 11 + 0.5 / 11)  # first in both legs
    assert rows[1]["relevance"] == pytest.approx(2.0 / 12)  # second by vector, not found by words
    assert list(rows[0]) == ["chunk_id", "relevance", "similarity"]


def test_combined_scores_by_hand(corpus: Path, writer: ModuleType) -> None:
    writer.build(corpus)
    table = lancedb.connect(corpus / "index").open_table("knowledge")
    query = "merino jumpers"
    vector = writer.WordEmbedder().encode([query])[0]
    settings = SearchSettings(vector_weight=2.0, text_weight=0.5)
    rows = hybrid_rows(table, query, vector, settings, 3, ["chunk_id"], None)
    bm25 = table.search(query, query_type="fts", fts_columns="search_text").to_list()[0]["_score"]
    by_words = bm25 / math.log(1 + 17.5 / 1.5)  # over that of a word which one of the 18 rows holds
    assert by_words > 0.5
    assert rows[0]["relevance"] == pytest.approx((2.0 * rows[0]["similarity"] + 0.5 * by_words) / 2.5)
    assert rows[1]["relevance"] == pytest.approx(2.0 * rows[1]["similarity"] / 2.5)  # not found by words
    assert rows[0]["similarity"] > rows[1]["similarity"] > 0


def test_a_row_that_only_full_text_finds_can_be_the_best(corpus: Path, writer: ModuleType) -> None:
    class KnowsNoNumbers(writer.WordEmbedder):  # type: ignore[name-defined, misc]
        def encode(self, texts):  # type: ignore[no-untyped-def]
            return super().encode([re.sub(r"qz\d+", "number", text.lower()) for text in texts])

    page = (corpus / "pages" / "carry-on.md").read_text()
    for number in range(60):
        words = "It holds the lid." if number == 59 else ""
        text = page.replace("Roll shirts and fill shoes with socks.", f"The hinge is part qz{7000 + number}. {words}")
        (corpus / "pages" / f"part-{number}.md").write_text(text)

    def found(**search: Any) -> list[str]:
        settings = writer.SETTINGS.model_copy(update={"search": SearchSettings(**search)})
        with KnowledgeSearch(corpus / "pages", settings, KnowsNoNumbers(4096)) as knowledge:
            return [passage.slug for passage in knowledge.search("QZ7059", 50)]

    assert found(vector_weight=0) == ["part-59"]
    assert "part-59" not in found(text_weight=0)
    assert found()[0] == "part-59"
    assert "part-59" not in found(fusion="ranks")


@pytest.mark.parametrize("weights", [{}, {"vector_weight": 0.0}, {"text_weight": 0.0}])
def test_similarity_is_the_cosine_whichever_leg_found_the_row(
    corpus: Path, writer: ModuleType, weights: dict[str, float]
) -> None:
    class Unnormalised(writer.WordEmbedder):  # type: ignore[name-defined, misc]
        def encode(self, texts):  # type: ignore[no-untyped-def]
            return 3.0 * super().encode(texts)

    embedder = Unnormalised()
    with KnowledgeSearch(
        corpus / "pages", writer.SETTINGS.model_copy(update={"search": SearchSettings(**weights)}), embedder
    ) as knowledge:
        found = knowledge.search("merino jumpers", 20)
    query = embedder.encode(["merino jumpers"])[0]
    texts = [f"{p.title}. {p.heading}.\n{p.text}" if p.heading != p.title else f"{p.title}.\n{p.text}" for p in found]
    expected = embedder.encode(texts) @ query / 9.0
    assert [p.similarity for p in found] == pytest.approx(list(expected), abs=1e-5)
    assert found[0].similarity > 0.2


def test_queries_together_find_what_each_finds_alone(index: Index) -> None:
    asked = [("merino jumper", 3), ("  linen heat ", 1), ("silk lapels", 4), ("merino jumper", 2)]
    assert index.search_knowledge_together(asked) == [index.search_knowledge(query, k) for query, k in asked]
    with pytest.raises(InvalidRequestError, match="empty"):
        index.search_knowledge_together([*asked, (" ", 3)])


def test_threads_share_one_index(index: Index) -> None:
    queries = ["merino jumper", "linen heat", "silk lapels", "thick socks"] * 5
    alone = [[p.chunk_id for p in index.search_knowledge(query, 3)] for query in queries]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda query: [p.chunk_id for p in index.search_knowledge(query, 3)], queries))
    assert together == alone
