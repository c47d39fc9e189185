"""What saved and rejected outfits and a wardrobe move a garment by."""

from __future__ import annotations

import pytest

from aura.taxonomy import Category
from inference.colours import colour_in_words
from inference.outfits.items import Item
from inference.outfits.preferences import MOST_SHIFT, NO_SHIFT, Preferences
from inference.outfits.reasons import Seen


def seen(colour: str, category: Category = Category.TOPS) -> Seen:
    return Seen(Item("x", category, f"A {colour} one"), colour_in_words(colour))


YELLOW, NAVY = seen("yellow"), seen("navy")


def test_what_was_rejected_stands_lower_and_what_was_saved_higher() -> None:
    likes = Preferences.of(saved=[[NAVY]], rejected=[[YELLOW], [YELLOW, seen("red", Category.SHOES)]], wardrobe=[])
    assert likes.shift(YELLOW).amount < 0 < likes.shift(NAVY).amount
    assert likes.shift(seen("red", Category.SHOES)).amount > likes.shift(YELLOW).amount, "one verdict is less than two"
    reason = likes.shift(YELLOW).reason
    assert reason is not None
    assert (reason.kind, reason.text) == ("preference", "you rejected 2 outfits with yellow tops (-0.017)")


@pytest.mark.parametrize("garment", [seen("green"), seen("yellow", Category.SHOES), seen("of no colour")])
def test_what_nothing_is_known_of_is_not_moved(garment: Seen) -> None:
    assert Preferences.of(saved=[], rejected=[[YELLOW]], wardrobe=[]).shift(garment) is NO_SHIFT


@pytest.mark.parametrize("count", [1, 10, 10_000])
def test_the_shift_is_bounded_and_grows_with_the_evidence(count: int) -> None:
    less, more = (Preferences.of([[NAVY]] * n, [[YELLOW]] * n, [NAVY] * n) for n in (count, 2 * count))
    assert 0 < less.shift(NAVY).amount < more.shift(NAVY).amount < MOST_SHIFT
    assert -MOST_SHIFT < more.shift(YELLOW).amount < less.shift(YELLOW).amount < 0


def test_saved_and_rejected_alike_weigh_nothing_and_are_said() -> None:
    shift = Preferences.of(saved=[[NAVY]], rejected=[[NAVY, NAVY]], wardrobe=[]).shift(NAVY)
    assert shift.amount == 0, "two of a kind in one outfit are one verdict"
    assert shift.reason is not None
    assert shift.reason.text == "you rejected 1 outfit with navy tops and saved 1 outfit with navy tops (+0.000)"


def test_a_colour_of_the_wardrobe_is_liked_in_every_category_but_less_than_an_outfit() -> None:
    owns = Preferences.of([], [], [NAVY, seen("navy", Category.BOTTOMS)])
    shift = owns.shift(seen("navy", Category.SHOES))
    assert shift.reason is not None
    assert shift.reason.text == "you own 2 navy garments (+0.006)"
    assert 0 < shift.amount < Preferences.of([[NAVY]], [], []).shift(NAVY).amount
    wardrobes = [Preferences.of([], [], [NAVY] * count) for count in (8, 2000)]
    assert len({likes.shift(NAVY).amount for likes in wardrobes}) == 1, "a large wardrobe is no louder than ratings"
