"""Reasons come from the garments: other garments, other reasons; nothing known, nothing said."""

from __future__ import annotations

import numpy as np
import pytest

from aura.taxonomy import Category
from inference.colours import DominantColour, colour_in_words, dominant_colours
from inference.outfits.colour_relations import relation
from inference.outfits.items import Item
from inference.outfits.reasons import Seen, reasons_for, reasons_within


def colour(rgb: str) -> DominantColour:
    pixel = [int(rgb[place : place + 2], 16) for place in (1, 3, 5)]
    return dominant_colours(np.array([pixel], dtype=np.uint8))[0]


def seen(title: str, rgb: str | None, **attributes: str) -> Seen:
    return Seen(Item(title, Category.TOPS, title, attributes), colour(rgb) if rgb else None)


def nothing(_first: Item, _second: Item) -> None:
    return None


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ("#0b0b0b", "#fafafa", "neutral"),
        ("#1b2440", "#909193", "neutral"),  # navy is worn as one
        ("#0b0b0b", "#b81f2f", "accent"),
        ("#2a56a8", "#1f3f80", "tonal"),
        ("#1b2440", "#2c3552", "tonal"),  # two navies, the lighter of which has a hue
        ("#d3bf9f", "#0b0b0b", "neutral"),  # beige has a hue, and is a neutral by its name
        ("#d3bf9f", "#b81f2f", "accent"),
        ("#69683a", "#2a56a8", "accent"),  # olive
        ("#e03a3e", "#e07a30", "analogous"),
        ("#2a56a8", "#c0942c", "complementary"),
        ("#b52a78", "#36793f", "complementary"),
        ("#36793f", "#2a56a8", "contrasting"),
    ],
)
def test_relations_of_colours_are_symmetric(first: str, second: str, name: str) -> None:
    assert relation(colour(first), colour(second)).name == name
    assert relation(colour(second), colour(first)) == relation(colour(first), colour(second))


def test_the_most_telling_colour_relation_is_given_and_names_both_garments() -> None:
    blue, black, mustard = seen("Blue skirt", "#2a56a8"), seen("Black bag", "#0b0b0b"), seen("Mustard top", "#c0942c")
    [reason] = reasons_for(mustard, [black, blue], nothing)
    assert (reason.kind, reason.relation) == ("colour", "complementary")
    assert "Mustard top" in reason.text
    assert "Blue skirt" in reason.text
    [other] = reasons_for(mustard, [black], nothing)
    assert other.relation == "accent"
    assert other.text == "the mustard of Mustard top is the accent beside the black of Black bag, a neutral"
    assert reasons_for(black, [mustard], nothing) == [other], "the neutral is named as one, whichever comes first"


def test_what_the_catalog_says_of_both_is_a_reason_and_what_it_says_of_one_is_none() -> None:
    first = seen("A", None, style="smart", season="summer", occasion="office")
    second = seen("B", None, style="smart", season="winter", occasion="office")
    found = [(reason.kind, reason.text) for reason in reasons_for(first, [second], nothing)]
    assert found == [
        ("style", "A and B have the same style: smart"),
        ("occasion", "A and B have the same occasion: office"),
    ]
    any_season = seen("C", None, season="all-season")
    assert reasons_for(any_season, [seen("D", None, season="all-season")], nothing) == []


def test_words_that_are_worn_together_are_a_reason_when_they_are_so_often_enough() -> None:
    often, hardly = float(np.log(2.0)), float(np.log(1.2))
    for information, count in ((often, 1), (hardly, 0)):

        def affinity(_first: Item, _second: Item, strength: float = information) -> tuple[str, str, float]:
            return "linen", "sandals", strength

        found = reasons_for(seen("A", None), [seen("B", None)], affinity)
        assert [reason.kind for reason in found] == ["worn_together"] * count
    assert reasons_for(seen("A", None), [seen("B", None)], lambda *_: ("linen", "sandals", often))[0].text == (
        "outfits that the model learnt from combine 'linen' with 'sandals' 2.0 times as often as chance would"
    )


def test_nothing_is_said_of_garments_of_which_nothing_is_known() -> None:
    assert reasons_within([seen("A", None), seen("B", None)], nothing) == []
    assert reasons_within([seen("A", "#2a56a8")], nothing) == [], "there is nothing to go with"


def test_an_outfit_says_where_its_colours_are_harsh() -> None:
    outfit = [seen("Green top", "#36793f"), seen("Blue skirt", "#2a56a8"), seen("Mustard bag", "#c0942c")]
    relations = [reason.relation for reason in reasons_within(outfit, nothing)]
    assert relations == ["complementary", "contrasting"]
    assert [reason.relation for reason in reasons_for(outfit[0], outfit[1:2], nothing)] == []


def test_a_colour_is_read_from_words_where_there_is_no_picture() -> None:
    found = colour_in_words("Light grey wool coat")
    assert found is not None
    assert found.name == "light grey"
    assert colour_in_words("Wool coat, pinkish") is None
