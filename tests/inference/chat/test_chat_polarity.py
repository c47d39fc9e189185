"""What a sentence denies, and whether another affirms it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.chat.contradiction import leaves_condition_out, misquotes, number_of_another_thing
from inference.chat.contrasts import contradicting_word, contrasts, roles_swapped
from inference.chat.polarity import clause_polarities, polarity_differs


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("Avoid white, ivory and champagne at weddings.", {"white", "ivory", "champagne", "wedding"}),
        ("Avoid white, and choose navy.", {"white"}),
        ("Do not wear white, ivory or champagne.", {"white", "ivory", "champagne"}),
        ("White isn\u2019t recommended.", {"white", "recommend"}), ("White is a bad choice.", {"white"}),
        ("Take a poncho rather than an umbrella.", {"umbrella"}),
        ("Blot, never rub.", {"rub"}),
        ("Linen and poplin do not.", {"linen", "poplin"}),
        ("A jacket is welcome and not expected.", {"expect"}), ("Not worth it: shoulders, the rise.", {"shoulder", "rise"}),
        ("Weigh no more than 900 g empty.", set()), ("Do not wash above 30 °C.", set()), ("Not only linen.", set()),
        ("Never wear it without socks.", set()), ("", set()), ("毛衣 crêpe", set()),
    ],
)  # fmt: skip
def test_scope(text: str, denied: set[str]) -> None:
    found = {word for clause in clause_polarities(text) for word, is_denied in clause.items() if is_denied}
    assert found - {"choice", "bad"} == denied


@pytest.mark.parametrize(
    ("claim", "source", "differs"),
    [
        ("Wear white.", "Avoid white.", True), ("Avoid white.", "White should not be worn.", False),
        ("Wash merino.", "Never wash merino.", True),
        ("Wash merino.", "Air it instead of washing it. Wash merino.", False),
        ("A jacket is required.", "A jacket is not required.", True),
        ("End it with a break.", "Slim ones end without a break; wide ones have one soft break.", True),
        ("Cats sleep.", "Never iron.", False),
    ],
)  # fmt: skip
def test_difference(claim: str, source: str, differs: bool) -> None:
    assert polarity_differs(claim, source) is differs


@given(st.text())
def test_a_sentence_never_speaks_against_itself(text: str) -> None:
    assert not polarity_differs(text, text)
    assert contradicting_word(text, text) is None
    assert not misquotes(text, text)
    assert not roles_swapped(text, text)


@pytest.mark.parametrize(
    ("one", "other", "excludes"),
    [
        ("warm", "cool", True), ("warmer", "cool", True), ("hotter", "cold", True), ("lined", "unlined", True),
        ("white", "black", True),
        ("cotton", "silk", True), ("white", "white", False), ("white", "cotton", False), ("shoe", "sole", False),
    ],
)  # fmt: skip
def test_excluding_words(one: str, other: str, excludes: bool) -> None:
    assert contrasts(one, other) is contrasts(other, one) is excludes


@pytest.mark.parametrize(
    ("claim", "source", "word"),
    [
        ("Wear cotton socks.", "Wear wool socks.", "cotton"), ("Brush it wet.", "Brush it when dry.", "wet"),
        ("Wear wool.", "Wear wool or cotton.", None), ("Wear wool or silk.", "Wear wool.", None),
    ],
)  # fmt: skip
def test_a_word_that_the_source_excludes(claim: str, source: str, word: str | None) -> None:
    assert contradicting_word(claim, source) == word


IRONING = "One dot is 110 °C for synthetics, two dots 150 °C for wool and silk, three dots 200 °C for cotton and linen."


@pytest.mark.parametrize(
    ("claim", "wrong"),
    [
        ("Iron silk at 200 °C.", True), ("Iron silk at 150 °C.", False),
        ("Iron cotton at 200 °C and wool at 150 °C.", False),
        ("Iron cotton at 150 °C and wool at 200 °C.", True), ("Irons are hot.", False),
    ],
)  # fmt: skip
def test_a_number_belongs_to_its_thing(claim: str, wrong: bool) -> None:
    assert number_of_another_thing(claim, IRONING) is wrong


def test_opposites_keep_their_order() -> None:
    assert roles_swapped("Thick goes under thin.", "Thin goes under thick.")
    assert not roles_swapped("Thin always goes under thick.", "Thin goes under thick.")


def test_a_condition_is_not_left_out() -> None:
    source = "Wear black shoes with navy only in the evening."
    assert leaves_condition_out("Wear black shoes with navy.", source)
    assert not leaves_condition_out("Wear black shoes with navy in the evening.", source)
    assert not leaves_condition_out("Only wear black shoes with navy then.", source)
