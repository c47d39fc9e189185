"""The questions are what the module promises, the same at every call."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from aura.taxonomy import Category
from tests.training.outfits.conftest import outfit_of, rows_of
from training.outfits.data import OutfitTables, read_tables
from training.outfits.questions import CANDIDATES, Question, QuestionSet, make_question_set

_ALL = 10_000


@pytest.fixture(scope="module")
def tables(prepared: Path) -> OutfitTables:
    return read_tables(prepared)


@pytest.fixture(scope="module")
def question_set(tables: OutfitTables) -> QuestionSet:
    return make_question_set(tables.items, tables.outfits["val"], seed=1, max_questions=_ALL)


def test_it_depends_on_the_seed_and_on_nothing_else(tables: OutfitTables, question_set: QuestionSet) -> None:
    val = tables.outfits["val"]
    again = make_question_set(dict(reversed(tables.items.items())), val, seed=1, max_questions=_ALL)
    assert again.fitb == question_set.fitb
    assert again.corrupted == question_set.corrupted
    other = make_question_set(tables.items, val, seed=2, max_questions=_ALL)
    assert other.fitb["random"] != question_set.fitb["random"]
    assert other.fitb["same_category"] != question_set.fitb["same_category"]
    assert other.corrupted != question_set.corrupted
    assert other.true_outfits == question_set.true_outfits


@pytest.mark.parametrize("kind", ["random", "same_category"])
def test_every_garment_is_asked_for_once(tables: OutfitTables, question_set: QuestionSet, kind: str) -> None:
    actual = [(question.true_item, frozenset(question.context)) for question in question_set.fitb[kind]]
    expected = [(item, frozenset(outfit.items) - {item}) for outfit in tables.outfits["val"] for item in outfit.items]
    assert actual == expected
    assert question_set.skipped[kind] == 0


@pytest.mark.parametrize("kind", ["random", "same_category"])
def test_three_wrong_answers_of_the_right_pool(tables: OutfitTables, question_set: QuestionSet, kind: str) -> None:
    split = set(tables.used_in("val"))
    for question in question_set.fitb[kind]:
        assert len(question.candidates) == len(set(question.candidates)) == CANDIDATES
        assert question.category == tables.items[question.true_item].category
        assert set(question.candidates) <= split
        assert not set(question.candidates) & set(question.context)
        if kind == "same_category":
            assert {tables.items[item].category for item in question.candidates} == {question.category}
    if kind == "random":
        categories = Counter(
            tables.items[item].category for question in question_set.fitb[kind] for item in question.candidates
        )
        assert min(categories.values()) > 30


def test_the_answer_is_not_given_away(question_set: QuestionSet) -> None:
    for questions in question_set.fitb.values():
        assert all(question.true_item not in question.context for question in questions)
        positions = Counter(question.answer for question in questions)
        assert set(positions) == set(range(CANDIDATES))
        assert max(positions.values()) < 0.45 * len(questions)


def test_completed_outfits_differ_in_the_blank_alone() -> None:
    question = Question(("a", "b"), Category.BAGS, ("c", "d", "e", "f"), 2)
    assert question.true_item == "e"
    assert question.completed() == [("a", "b", "c"), ("a", "b", "d"), ("a", "b", "e"), ("a", "b", "f")]


def test_corrupted_outfits_are_other_garments_of_the_same_categories(
    tables: OutfitTables, question_set: QuestionSet
) -> None:
    assert question_set.true_outfits == [outfit.items for outfit in tables.outfits["val"]]
    for true, corrupted in zip(question_set.true_outfits, question_set.corrupted["same_category"], strict=True):
        assert [tables.items[item].category for item in true] == [tables.items[item].category for item in corrupted]
        assert not set(true) & set(corrupted)
        assert len(set(corrupted)) == len(corrupted)


def test_two_garments_of_one_category_are_corrupted_into_two() -> None:
    items = rows_of(jewellery=4)
    outfits = [outfit_of("jewellery-0", "jewellery-1"), outfit_of("jewellery-2", "jewellery-3")]
    for seed in range(10):
        question_set = make_question_set(items, outfits, seed=seed, max_questions=_ALL)
        assert [set(outfit) for outfit in question_set.corrupted["same_category"]] == [
            set(outfits[1].items),
            set(outfits[0].items),
        ]


def test_what_has_no_counterpart_stays_or_is_left_out() -> None:
    items = rows_of(tops=2, bags=1, hats=1, scarves=1)
    outfits = [outfit_of("tops-0", "bags-0"), outfit_of("tops-1", "hats-0"), outfit_of("hats-0", "scarves-0")]
    question_set = make_question_set(items, outfits, seed=0, max_questions=_ALL)
    assert question_set.true_outfits == [("tops-0", "bags-0"), ("tops-1", "hats-0")]
    assert question_set.corrupted["same_category"] == [("tops-1", "bags-0"), ("tops-0", "hats-0")]


def test_blanks_with_too_few_wrong_answers_are_counted_not_asked() -> None:
    # Of one category there are three others for tops and two for bags; of any there are six.
    items = rows_of(tops=4, bags=3)
    outfits = [outfit_of(f"tops-{n}", f"bags-{min(n, 2)}") for n in range(4)]
    question_set = make_question_set(items, outfits, seed=0, max_questions=_ALL)
    assert [question.category for question in question_set.fitb["same_category"]] == [Category.TOPS] * 4
    assert question_set.skipped == {"random": 0, "same_category": 4}
    assert len(question_set.fitb["random"]) == 8


def test_outfits_of_one_garment_lend_wrong_answers_but_are_not_asked_about() -> None:
    items = rows_of(tops=4, bags=1)
    outfits = [outfit_of("tops-0", "bags-0"), *(outfit_of(f"tops-{n}") for n in (1, 2, 3))]
    question_set = make_question_set(items, outfits, seed=0, max_questions=_ALL)
    (question,) = question_set.fitb["same_category"]
    assert question.true_item == "tops-0"
    assert set(question.candidates) == {"tops-0", "tops-1", "tops-2", "tops-3"}
    assert len(question_set.true_outfits) == 1


def test_questions_are_limited_to_a_random_choice(tables: OutfitTables, question_set: QuestionSet) -> None:
    few = make_question_set(tables.items, tables.outfits["val"], seed=1, max_questions=20)
    for kind, questions in few.fitb.items():
        positions = [question_set.fitb[kind].index(question) for question in questions]
        assert len(positions) == 20
        assert positions == sorted(positions)
        assert positions != list(range(20))
    assert few.true_outfits == question_set.true_outfits


def test_retrieval_searches_all_items_of_a_category(tables: OutfitTables, question_set: QuestionSet) -> None:
    assert {category: len(pool) for category, pool in question_set.pools.items()} == {
        Category.SHOES: 18, Category.TOPS: 108, Category.BOTTOMS: 108,
    }  # fmt: skip
    assert all(
        tables.items[item].category == category for category, pool in question_set.pools.items() for item in pool
    )
