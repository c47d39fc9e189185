"""Occasion, season, budget and exclusions, on items that say something of themselves and on items that do not."""

from __future__ import annotations

import pytest

from aura.errors import InvalidRequestError
from aura.taxonomy import Category
from inference.outfits.items import Item
from inference.outfits.wishes import CatalogWords, Wishes, price


def item(item_id: str = "a", title: str = "A top", category: Category = Category.TOPS, **attributes: str) -> Item:
    return Item(item_id, category, title, attributes)


@pytest.mark.parametrize(
    ("wishes", "given", "why"),
    [
        (Wishes(occasion="Office"), item(occasion="office"), None),
        (Wishes(occasion="office"), item(occasion="party"), "is for the occasion party, not office"),
        (Wishes(occasion="office"), item(), None),
        (Wishes(season="summer"), item(season="winter"), "is for the season winter, not summer"),
        (Wishes(season="summer"), item(season="all-season"), None),
        (Wishes(without_categories=(Category.TOPS,)), item(), "is excluded"),
        (Wishes(without_ids=("a",)), item(), "is excluded"),
        (Wishes(without_ids=("b",)), item(), None),
        (Wishes(without_colours=("Red",)), item(title="Red top"), "is Red, which is excluded"),
        (Wishes(without_colours=("red",)), item(title="Tailored top"), None),
        (Wishes(without_colours=("red",)), item(second_colour="red"), "is red, which is excluded"),
    ],
)
def test_what_fits_the_wishes(wishes: Wishes, given: Item, why: str | None) -> None:
    assert wishes.misfit(given) == why


def test_an_item_without_a_price_fits_no_budget() -> None:
    wishes = Wishes(budget=50.0)
    assert [price(item(price=text)) for text in ("49.90", "1,200.00 EUR", "")] == [49.9, 1200.0, None]
    assert [wishes.affordable(item(price=text)) for text in ("50", "50.01", "")] == [True, False, False]
    assert not wishes.affordable(item(price="30"), spent=25.0)
    assert Wishes().affordable(item())


def test_a_wish_that_no_item_can_answer_is_left_out_in_words() -> None:
    wishes, notes = CatalogWords.of([item()]).understood(Wishes(budget=10.0, occasion="office", season="summer"))
    assert wishes.budget is None
    assert [note.rpartition(": ")[2] for note in notes] == [
        "occasion was not used", "season was not used", "budget was not used",
    ]  # fmt: skip
    kept, no_notes = CatalogWords.of([item(price="5")]).understood(Wishes(budget=10.0))
    assert (kept.budget, no_notes) == (10.0, [])


def test_an_occasion_that_the_catalog_does_not_know_is_refused_with_those_that_it_knows() -> None:
    words = CatalogWords.of([item(occasion="Office"), item(occasion="party")])
    with pytest.raises(InvalidRequestError, match="for the occasion 'gala'") as refused:
        words.understood(Wishes(occasion="gala"))
    assert refused.value.hint == "it knows: office, party"
