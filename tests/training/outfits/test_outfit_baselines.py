"""The baselines answer by counting training outfits: what was worn most, what was worn together, which words go together."""

from __future__ import annotations

import pytest
import torch

from aura.prepared_rows import ItemRow
from aura.taxonomy import Category
from inference.outfits.items import Item
from tests.training.outfits.conftest import outfit_of, rows_of
from training.outfits.baselines import Cooccurrence, Popularity, WordPairs
from training.outfits.data import OutfitTables, named
from training.outfits.questions import Question
from training.outfits.term_counts import count_terms


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
    assert popularity.credits([question]).tolist() == pytest.approx([credit])


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
    assert cooccurrence.credits([question]).tolist() == pytest.approx([credit])


def test_cooccurrence_remembers_what_popularity_cannot_know() -> None:
    # Every top and every bag is worn once, so that only who was worn with whom tells them apart.
    items = rows_of(tops=4, bags=4)
    worn = [outfit_of(f"tops-{n}", f"bags-{n}") for n in range(4)]
    bags = tuple(f"bags-{n}" for n in range(4))
    questions = [Question((f"tops-{n}",), Category.BAGS, bags, n) for n in range(4)]
    assert Popularity(items, worn).accuracy(questions) == pytest.approx(1 / 4)
    assert Cooccurrence(items, worn).accuracy(questions) == 1


def _wardrobe() -> tuple[OutfitTables, dict[str, Item]]:
    """Red goes with jeans, blue with skirts; every garment is worn once, and half of them in the test."""
    titles = [("Red top", "Jeans"), ("Blue top", "Skirt")]
    items, outfits = {}, {"train": [], "val": [], "test": []}
    for number in range(40):
        worn = []
        for category, title in zip((Category.TOPS, Category.BOTTOMS), titles[number % 2], strict=True):
            item_id = f"{category.value}-{number}"
            items[item_id] = ItemRow(item_id=item_id, category=category, title=title)
            worn.append(item_id)
        outfits["train" if number < 20 else "test"].append(outfit_of(*worn))
    return OutfitTables(items, outfits), {name: named(row) for name, row in items.items()}


def test_word_pairs_know_garments_that_nobody_has_worn_yet() -> None:
    tables, items = _wardrobe()
    terms = count_terms(tables)
    assert set(terms.vocabulary) == {"red", "blue", "top", "jeans", "skirt"}
    red, blue, top, jeans = (terms.vocabulary.index(word) for word in ("red", "blue", "top", "jeans"))
    # Every top is worn with a bottom, so that "top" attracts jeans a little.
    assert terms.words[red, jeans] > terms.words[top, jeans] + 0.2
    assert terms.words[blue, jeans] < 0 < terms.words[top, jeans]
    assert torch.equal(terms.words, terms.words.T)
    # A top and a bottom each: never two tops.
    assert terms.categories[0, 1] > 0 > terms.categories[0, 0]
    control = WordPairs(terms, items)
    question = Question(("tops-20",), Category.BOTTOMS, ("bottoms-21", "bottoms-20", "bottoms-23", "bottoms-25"), 1)
    assert control.credits([question]).tolist() == [1.0]
    # Equal words tie, and a category that is never worn twice comes last.
    tie = Question(("tops-20",), Category.BOTTOMS, ("bottoms-22", "bottoms-20", "tops-22", "tops-24"), 1)
    assert control.credits([tie]).tolist() == [0.5]
    assert control.credits([]).tolist() == []
    assert Cooccurrence(tables.items, tables.outfits["train"]).credits([question]).tolist() == [0.25]


def test_rare_words_say_little() -> None:
    tables, _ = _wardrobe()
    few = OutfitTables(tables.items, tables.outfits | {"train": tables.outfits["train"][:2]})
    assert count_terms(few).vocabulary == ()
    some = OutfitTables(tables.items, tables.outfits | {"train": tables.outfits["train"][:6]})
    terms, whole = count_terms(some), count_terms(tables)
    pair, of_all = ([each.vocabulary.index(word) for word in ("red", "jeans")] for each in (terms, whole))
    assert 0 < terms.words[pair[0], pair[1]] < whole.words[of_all[0], of_all[1]]
