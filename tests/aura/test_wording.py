"""The same wording is found however it is typed, and never within another word or number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aura.wording import plain_text, says

_WORDS = st.lists(st.sampled_from(["wool", "off-white", "5", "1.5", "cm", "-18", "°C", "don't", "to", "12-14", "%"]))


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        ("Iron at 150 °C.", "150°C"),
        ("at 150°c, through a cloth", "150 degrees"),
        ("150 degrees Celsius is right", "150 °C"),
        ("Freeze it at \u221218 °C", "minus 18 degrees"),
        ("10\u201312 cm of tongue", "10 to 12cm"),
        ("Don\u2019t wear white", "do not wear white"),
        ("you can't rub it", "cannot rub"),
        ("220 g/m\u00b2 or more", "220 g/m2"),
        ("about 20 per cent", "20%"),
        ("two\u00a0fingers", "2 fingers"),
        ("8,000 mm", "8000 millimetres"),
        ("socks to mid-calf", "mid calf"),
        ("an A-line\nskirt", "a line skirt"),
        ("a two-ply yarn", "2-ply"),
    ],
)
def test_spellings_of_the_same_are_found(text: str, wording: str) -> None:
    assert says(text, wording)


@pytest.mark.parametrize(
    ("text", "wording"),
    [
        ("15 cm", "5 cm"),
        ("1.5 cm", "5 cm"),
        ("5 cm", "5 c"),
        ("-18 °C", "18 °C"),
        ("off-whites", "white"),
        ("off-white", "white"),
        ("white-ish", "white"),
        ("not rub it", "never rub"),
        ("wash it and dry it", "wash dry"),
        ("anything", "?!"),
        ("", "wool"),
    ],
)
def test_other_words_and_numbers_are_not(text: str, wording: str) -> None:
    assert not says(text, wording)


@given(text=st.text())
def test_a_text_says_itself_in_any_case_and_spacing(text: str) -> None:
    assert says(text, text) == bool(plain_text(text))
    assert plain_text(f"  {text}\n") == plain_text(text)


@given(before=_WORDS, wording=_WORDS.filter(bool), after=_WORDS)
def test_a_wording_is_said_among_other_words(before: list[str], wording: list[str], after: list[str]) -> None:
    # A comma ends what belongs together, as "12-14, 5" does.
    text = ", ".join(" ".join(words) for words in (before, wording, after))
    assert says(text, " ".join(wording))


@given(number=st.integers(0, 10_000), other=st.integers(0, 10_000))
def test_numbers_are_equal_or_not_said(number: int, other: int) -> None:
    assert says(f"about {number} cm wide", f"{other} cm") == (number == other)
