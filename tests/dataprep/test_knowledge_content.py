"""The pages, dialogues and queries that the project ships."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aura.paths import repo_root
from aura.prepared_rows import QUESTION_KINDS, DialogueRow, QueryRow, QuestionRow, read_rows
from aura.problems import Problems
from aura.wording import says
from dataprep.questions import copy_questions
from inference.retrieval.chunks import FACETS, TOPICS, Page, cut_page, read_pages
from inference.retrieval.judge import read_queries

FOLDER = repo_root() / "data" / "knowledge"


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    return {page.slug: page for page in read_pages(FOLDER)}


@pytest.fixture(scope="module")
def queries(pages: dict[str, Page]) -> list[QueryRow]:
    return read_queries(FOLDER / "queries", list(pages.values()))


@pytest.fixture(scope="module")
def dialogues() -> list[DialogueRow]:
    files = sorted((FOLDER / "dialogues").glob("*.jsonl"))
    return [row for file in files for row in read_rows(file, DialogueRow)]


@pytest.fixture(scope="module")
def questions() -> list[QuestionRow]:
    return read_rows(FOLDER / "questions" / "test.jsonl", QuestionRow)


def test_held_out_questions_are_borne_out_and_not_trained_on(tmp_path: Path) -> None:
    problems = Problems()
    copy_questions(FOLDER, tmp_path, problems)
    assert problems.found == []


def test_there_are_enough_questions_of_each_kind_and_page(pages: dict[str, Page], questions: list[QuestionRow]) -> None:
    kinds = Counter(row.kind for row in questions)
    assert kinds["answerable"] >= 140
    assert min(kinds["no"], kinds["follow-up"]) >= 40
    assert kinds["out-of-scope"] >= 60
    asked = Counter(slug for row in questions for slug in row.documents if row.kind == "answerable")
    assert asked.keys() == pages.keys()
    assert min(asked.values()) >= 3


def test_any_first_part_of_the_questions_is_a_fair_sample(questions: list[QuestionRow]) -> None:
    # An evaluation that has little time asks the first ones only.
    whole, part = Counter(row.kind for row in questions), Counter(row.kind for row in questions[:60])
    for kind in QUESTION_KINDS:
        assert part[kind] / 60 == pytest.approx(whole[kind] / len(questions), abs=0.05), kind


def test_no_page_says_what_must_not_be_said_of_it(pages: dict[str, Page], questions: list[QuestionRow]) -> None:
    # An answer that quotes one sentence too many of the right page is long, not wrong.
    for row in questions:
        for slug in row.documents:
            for chunk in cut_page(pages[slug], 10_000):
                assert [wrong for wrong in row.must_not_say if says(chunk.text, wrong)] == [], row.id


def test_there_is_enough_of_everything(
    pages: dict[str, Page], queries: list[QueryRow], dialogues: list[DialogueRow]
) -> None:
    assert len(pages) >= 30
    assert len(queries) >= 80
    assert len(dialogues) >= 150


def test_pages_have_the_agreed_length_and_fields(pages: dict[str, Page]) -> None:
    for slug, page in pages.items():
        assert 200 <= len(page.body.split()) <= 500, slug
        assert page.title, slug
        for field, allowed in FACETS.items():
            assert getattr(page, field) in allowed, f"{slug}: {field}"
        assert len(cut_page(page, 140)) >= 2, f"{slug} has no sections"
    assert len({page.title for page in pages.values()}) == len(pages)
    assert {page.topic for page in pages.values()} == set(TOPICS)


def test_every_page_has_a_query_and_a_dialogue(
    pages: dict[str, Page], queries: list[QueryRow], dialogues: list[DialogueRow]
) -> None:
    assert {slug for query in queries for slug in query.relevant} == pages.keys()
    assert {slug for row in dialogues for slug in row.documents} == pages.keys()


def test_every_query_names_the_sections_that_answer_it(queries: list[QueryRow]) -> None:
    assert [query.query for query in queries if not 1 <= len(query.sections) <= 2] == []


def test_nothing_is_asked_twice(queries: list[QueryRow], dialogues: list[DialogueRow]) -> None:
    questions = Counter(row.messages[0].content.strip().lower() for row in dialogues)
    searched = Counter(query.query.strip().lower() for query in queries)
    assert [text for text, number in (questions + searched).items() if number > 1] == []
    assert [name for name, number in Counter(row.id for row in dialogues).items() if number > 1] == []


def test_turns_alternate_and_end_with_an_answer(dialogues: list[DialogueRow]) -> None:
    for row in dialogues:
        roles = [message.role for message in row.messages]
        assert roles == ["user", "assistant"] * (len(roles) // 2), row.id


def test_queries_do_not_name_the_title(pages: dict[str, Page], queries: list[QueryRow]) -> None:
    # A query that repeats the title would make the index look better than it is.
    for query in queries:
        for slug in query.relevant:
            assert pages[slug].title.lower() not in query.query.lower(), query.query


def test_nothing_else_lies_in_the_folder() -> None:
    known = {Path(): ".md", **dict.fromkeys(map(Path, ("dialogues", "queries", "questions")), ".jsonl")}
    for path in FOLDER.rglob("*"):
        if path.is_file():
            assert path.suffix == known[path.relative_to(FOLDER).parent], path
