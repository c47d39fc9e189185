"""Which garment a question is about."""

from __future__ import annotations

import pytest

from aura.taxonomy import Category
from inference.chat.garment_question import KnownGarment, garment_question


def own(title: str, category: Category, colour: str | None = None) -> KnownGarment:
    return KnownGarment(wardrobe_id=title, category=category, title=title, colour=colour)


def shown(title: str, category: Category) -> KnownGarment:
    return KnownGarment(wardrobe_id=None, category=category, title=title)


BLAZER, COAT = own("Navy wool blazer", Category.OUTERWEAR), own("Red coat", Category.OUTERWEAR)
JEANS, SKIRT = own("Jeans", Category.BOTTOMS, "black"), own("Sky blue bottoms", Category.BOTTOMS)
DRESS, TURTLENECK = own("Green dresses", Category.ALL_BODY), own("Charcoal turtleneck", Category.TOPS)
WARDROBE = [COAT, BLAZER, JEANS, SKIRT, DRESS, TURTLENECK]
SHOES, TOP = shown("White shoes", Category.SHOES), shown("Navy tops", Category.TOPS)
PHOTO = [SHOES, TOP, shown("Grey shoes", Category.SHOES)]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What goes with my navy blazer?", [BLAZER]),
        ("Which shoes can I wear with my blazers", [BLAZER]),
        ("what matches my favourite old coat?", [COAT]),
        ("Make an outfit around my black jeans", [JEANS]),
        ("What goes with my blue skirt?", [SKIRT]),
        ("what looks good with that green dress", [DRESS]),
        ("What can I wear with my turtleneck?", [TURTLENECK]),
        ("What goes with these jeans?", [JEANS]),
    ],
)
def test_a_garment_of_the_wardrobe_is_found_by_its_noun_and_what_stands_before(
    question: str, expected: list[KnownGarment]
) -> None:
    asked = garment_question(question, WARDROBE)
    assert asked is not None
    assert asked.garments == expected


def test_the_garment_is_ones_own_where_the_wardrobe_is_named() -> None:
    asked = garment_question("what from my wardrobe goes with the red coat?", WARDROBE)
    assert asked is not None
    assert (asked.garments, asked.said, asked.own_alone) == ([COAT], "the red coat", True)
    assert garment_question("which shoes go with the red coat of a uniform?", WARDROBE) is None


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("What goes with my navy coat?", "my navy coat"),
        ("What goes with my red blazer?", "my red blazer"),
        ("What should I wear with my parka?", "my parka"),
        ("What goes with this hat?", "this hat"),
    ],
)
def test_a_garment_that_is_not_there_is_no_other_one(question: str, said: str) -> None:
    asked = garment_question(question, WARDROBE)
    assert asked is not None
    assert (asked.garments, asked.said) == ([], said)


@pytest.mark.parametrize(
    "question",
    ["Which shoes go with a navy suit?", "How do I wash my navy blazer?", "What should I wear to my wedding?", ""],
)
def test_other_questions_are_for_the_passages(question: str) -> None:
    assert garment_question(question, [*WARDROBE, *PHOTO]) is None


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What can I wear with this?", [SHOES, TOP]),
        ("What goes with these shoes?", [SHOES]),
        ("Does this top go with my navy blazer?", [TOP]),
    ],
)
def test_this_is_what_the_photo_shows(question: str, expected: list[KnownGarment]) -> None:
    asked = garment_question(question, [*WARDROBE, *PHOTO])
    assert asked is not None
    assert asked.garments == expected
    nothing = garment_question("What can I wear with this?", WARDROBE)
    assert nothing is None, "there is no photo"


def test_the_rest_may_have_to_come_from_the_wardrobe_alone() -> None:
    asked = garment_question("What can I wear from my own wardrobe with my blazer?", WARDROBE)
    assert asked is not None
    assert (asked.garments, asked.own_alone) == ([BLAZER], True)
    assert not garment_question("What goes with my blazer?", WARDROBE).own_alone  # type: ignore[union-attr]
