"""The baselines answer by counting training outfits: what was worn most, and what was worn together."""

from __future__ import annotations

import pytest

from aura.taxonomy import Category
from tests.training.outfits.conftest import outfit_of, rows_of
from training.outfits.baselines import Cooccurrence, Popularity
from training.outfits.questions import Question


@pytest.fixture(scope="module")
def popularity() -> Popularity:
    # Worn: tops-0 three times, tops-1 and tops-2 once, bags-0 twice; tops six times in all, bags three times.
    items = rows_of(tops=6, bags=5, hats=4)
    worn = [("tops-0", "bags-0"), ("tops-0", "bags-0"), ("tops-0", "tops-1"), ("tops-2", "bags-1"), ("tops-3",)]
    return Popularity(items, [outfit_of(*outfit) for outfit in worn])


@pytest.mark.parametrize(
    ("candidates", "answer", "credit"),
    [
        (("tops-0", "tops-1", "tops-4", "tops-5"), 0, 1.0),
        (("tops-0", "tops-1", "tops-4", "tops-5"), 1, 0.0),
        (("tops-1", "tops-2", "tops-4", "tops-5"), 1, 1 / 2),
        (("tops-1", "tops-2", "tops-3", "tops-5"), 2, 1 / 3),
        (("hats-0", "hats-1", "hats-2", "hats-3"), 3, 1 / 4),
        # Once each: the category that is worn more often wins.
        (("bags-1", "tops-1", "hats-0", "bags-2"), 1, 1.0),
        (("bags-1", "tops-1", "hats-0", "bags-2"), 0, 0.0),
        # Never: likewise.
        (("bags-2", "bags-3", "hats-0", "hats-1"), 1, 1 / 2),
        # A bag worn twice beats any top worn once.
        (("bags-0", "tops-1", "tops-2", "tops-3"), 0, 1.0),
    ],
)
def test_popularity_picks_what_was_worn_most(
    popularity: Popularity, candidates: tuple[str, ...], answer: int, credit: float
) -> None:
    question = Question(("bags-4",), Category.TOPS, candidates, answer)
    assert popularity.credit(question) == pytest.approx(credit)


def test_a_baseline_is_right_on_average_by_its_credits(popularity: Popularity) -> None:
    questions = [
        Question((), Category.TOPS, ("tops-0", "tops-1", "tops-4", "tops-5"), 0),
        Question((), Category.HATS, ("hats-0", "hats-1", "hats-2", "hats-3"), 3),
    ]
    assert popularity.accuracy(questions) == pytest.approx((1 + 1 / 4) / 2)
    assert popularity.accuracy([]) == 0


@pytest.fixture(scope="module")
def cooccurrence() -> Cooccurrence:
    # bags-0 with tops-0 twice, with tops-1 and tops-2 once each; hats-0 with tops-1 twice; tops-3 most, but alone.
    items = rows_of(tops=6, bags=3, hats=2, shoes=4)
    worn = [
        ("tops-0", "bags-0"), ("bags-0", "shoes-0", "tops-0"), ("tops-1", "bags-0", "hats-0"), ("hats-0", "tops-1"),
        ("tops-2", "bags-0"), *[("tops-3",)] * 9,
    ]  # fmt: skip
    return Cooccurrence(items, [outfit_of(*outfit) for outfit in worn])


@pytest.mark.parametrize(
    ("context", "candidates", "answer", "credit"),
    [
        (("bags-0",), ("tops-0", "tops-1", "tops-2", "tops-3"), 0, 1.0),
        # Worn most of all, but never with the bag.
        (("bags-0",), ("tops-0", "tops-1", "tops-2", "tops-3"), 3, 0.0),
        (("bags-0",), ("tops-1", "tops-2", "tops-3", "tops-4"), 1, 1 / 2),
        # Summed over the context: tops-1 three times, tops-0 twice.
        (("bags-0", "hats-0"), ("tops-0", "tops-1", "tops-2", "tops-3"), 1, 1.0),
        (("hats-0", "bags-0"), ("tops-0", "tops-1", "tops-2", "tops-3"), 0, 0.0),
        # A pair counts whichever of the two is asked for, and in whatever order the outfit names them.
        (("tops-0",), ("shoes-0", "shoes-1", "shoes-2", "shoes-3"), 0, 1.0),
        # Nothing was worn together: a guess.
        (("bags-2",), ("tops-0", "tops-1", "tops-2", "tops-3"), 0, 1 / 4),
        ((), ("tops-0", "tops-1", "tops-2", "tops-3"), 3, 1 / 4),
        # Equally often together: the category that is worn more often wins, as for popularity.
        (("tops-0",), ("hats-0", "hats-1", "bags-1", "bags-2"), 2, 1 / 2),
        (("tops-0",), ("hats-0", "hats-1", "bags-1", "bags-2"), 0, 0.0),
    ],
)
def test_cooccurrence_picks_what_was_worn_with_the_rest(
    cooccurrence: Cooccurrence, context: tuple[str, ...], candidates: tuple[str, ...], answer: int, credit: float
) -> None:
    question = Question(context, Category.TOPS, candidates, answer)
    assert cooccurrence.credit(question) == pytest.approx(credit)


def test_cooccurrence_remembers_what_popularity_cannot_know() -> None:
    # Every top and every bag is worn once, so that only who was worn with whom tells them apart.
    items = rows_of(tops=4, bags=4)
    worn = [outfit_of(f"tops-{n}", f"bags-{n}") for n in range(4)]
    bags = tuple(f"bags-{n}" for n in range(4))
    questions = [Question((f"tops-{n}",), Category.BAGS, bags, n) for n in range(4)]
    assert Popularity(items, worn).accuracy(questions) == pytest.approx(1 / 4)
    assert Cooccurrence(items, worn).accuracy(questions) == 1
