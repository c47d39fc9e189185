"""Whole outfits are whole, keep to the rules and the wishes, and are the best that the scores know."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aura.taxonomy import Category
from inference.outfits.beam import FoundOutfit, OwnItems, whole_outfits
from inference.outfits.items import Item
from inference.outfits.outfit_rules import open_slots

TOPS, BOTTOMS, SHOES, DRESS = Category.TOPS, Category.BOTTOMS, Category.SHOES, Category.ALL_BODY
BAGS, COATS = Category.BAGS, Category.OUTERWEAR


class Model:
    """Likes garments whose numbers lie together, and whole outfits better than others; asks for anything."""

    def embed_vectors(self, vectors: np.ndarray) -> np.ndarray:
        return vectors

    def queries(self, outfits: Sequence[Sequence[Item]], targets: Sequence[Category]) -> np.ndarray:
        return np.zeros((len(outfits), 1), dtype=np.float32)

    def score(self, outfits: Sequence[Sequence[Item]]) -> list[float]:
        return [1 / (1 + float(np.std([number(item) for item in outfit]))) for outfit in outfits]


def number(item: Item) -> float:
    return float(item.item_id.split("-")[1])


def item(category: Category, value: int) -> Item:
    return Item(f"{category.value.replace('-', '')}-{value}", category, vector=np.array([value], dtype=np.float32))


WARDROBE = [item(category, value) for category in (TOPS, BOTTOMS, SHOES, DRESS, BAGS, COATS) for value in range(5)]


def outfits(
    *worn: Item, owned: Sequence[Item] = WARDROBE, wanted: Callable[[Item, float], bool] = lambda *_: True,
    without: Sequence[Category] = (), count: int = 3,
) -> list[FoundOutfit]:  # fmt: skip
    model: Any = Model()
    return whole_outfits(model, worn, [OwnItems(owned, model)], wanted=wanted, without=without, count=count)


def categories(outfit: FoundOutfit) -> set[Category]:
    found = [piece.category for piece in outfit.items]
    assert len(found) == len({*found}), "no category twice"
    return {*found}


@pytest.mark.parametrize(
    ("worn", "needs", "never"),
    [
        (TOPS, {TOPS, BOTTOMS, SHOES}, DRESS),
        (BOTTOMS, {TOPS, BOTTOMS, SHOES}, DRESS),
        (DRESS, {DRESS, SHOES}, TOPS),
    ],
)
def test_an_outfit_is_whole_and_nothing_is_worn_twice(worn: Category, needs: set[Category], never: Category) -> None:
    found = outfits(item(worn, 2))
    assert len(found) == 3
    for outfit in found:
        assert needs <= categories(outfit)
        assert never not in categories(outfit)
        assert outfit.items[0].item_id.endswith("-2"), "the caller's garment comes first"


def test_the_best_comes_first_and_the_others_differ_from_it() -> None:
    best, second, _ = found = outfits(item(TOPS, 3))
    assert {number(piece) for piece in best.items} == {3}
    assert best.score == 1.0
    assert [outfit.score for outfit in found] == sorted((outfit.score for outfit in found), reverse=True)
    shared = {piece.item_id for piece in best.items[1:]} & {piece.item_id for piece in second.items[1:]}
    assert len(shared) <= (len(second.items) - 1) / 2


def test_shoes_may_be_the_beginning_of_either_kind() -> None:
    kinds = [DRESS in categories(outfit) for outfit in outfits(item(SHOES, 1), count=10)]
    assert {*kinds} == {True, False}
    assert len(open_slots({SHOES})) == 2


def test_what_is_optional_is_left_out_where_it_would_hurt() -> None:
    far = [item(BAGS, 90), item(COATS, 90)]
    [outfit] = outfits(item(TOPS, 0), owned=[item(BOTTOMS, 0), item(SHOES, 0), *far], count=1)
    assert categories(outfit) == {TOPS, BOTTOMS, SHOES}


def test_what_there_is_nothing_for_is_named() -> None:
    [outfit] = outfits(item(TOPS, 0), owned=[item(BOTTOMS, 0)], count=1)
    assert (outfit.lacks, categories(outfit)) == ((SHOES,), {TOPS, BOTTOMS})
    [alone] = outfits(item(TOPS, 0), owned=[], count=5)
    assert alone.lacks == (BOTTOMS, SHOES)
    assert alone.score == 1.0, "it is scored all the same"


def test_wishes_hold_for_every_garment_that_is_added() -> None:
    for outfit in outfits(item(TOPS, 0), wanted=lambda piece, _: number(piece) > 2, without=[BAGS], count=5):
        assert all(number(piece) > 2 for piece in outfit.items[1:])
        assert BAGS not in categories(outfit)
        assert outfit.lacks == (), "what the caller does not want is not missing"


class Priced(OwnItems):
    """A shop where everything costs its number."""

    def cost(self, item: Item) -> float:
        return number(item)


def test_a_budget_is_for_the_whole_outfit() -> None:
    model: Any = Model()
    shop = Priced(WARDROBE, model)
    found = whole_outfits(
        model, [item(TOPS, 4)], [shop], wanted=lambda piece, spent: spent + number(piece) <= 6, without=[], count=5
    )
    assert found
    for outfit in found:
        assert outfit.spent == sum(number(piece) for piece in outfit.items[1:]) <= 6


def test_garments_that_are_called_alike_do_not_make_another_outfit() -> None:
    """Ten pairs of black shoes that go with the top alike: the second outfit is one with other trousers."""
    black = [replace(item(SHOES, 2), item_id=f"shoes-2.0{number}", title="Black shoes") for number in range(10)]
    trousers = [replace(item(BOTTOMS, value), title=f"Trousers {value}") for value in (2, 3)]
    found = outfits(item(TOPS, 2), owned=[*black, *trousers], count=2)
    assert [{piece.title for piece in outfit.items} for outfit in found] == [
        {"", "Black shoes", "Trousers 2"}, {"", "Black shoes", "Trousers 3"},
    ]  # fmt: skip
