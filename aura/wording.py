"""Whether a text says a wording, however it is typed: the comparison that checks questions and judges answers.

Both sides are brought to the same plain spelling first: Unicode NFKC, lower case, one kind of dash, quote and space, units
apart from their number ("10°C", "10 °C", "10 degrees"), ranges with "to", numbers up to twelve as digits, "not" in full.
Words are compared whole: "5 cm" is not in "15 cm" or "1.5 cm", and "white" is in neither "whites" nor "off-white".
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_SPELLINGS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), spelling)
    for pattern, spelling in (
        ("[\u2010-\u2015\u2212]", "-"),
        ("[\u2018\u2019\u201b`]", "'"),
        (r"\bcan(?:'t|not)\b", "can not"),
        (r"\bwon't\b", "will not"),
        (r"(?<=\w)n't\b", " not"),
        (r"(?<=\d),(?=\d{3}\b)", ""),
        (r"\bminus (?=\d)", "-"),
        (r"(?<=\d)(?:-| - )(?=\d)", " to "),
        (r"(?<=\d)(?=[^\W\d_])", " "),
        (r"(?:°|\bdegrees?\b)(?: ?c\b| celsius\b)?", " degrees "),
        (r"%|\bper ?cent\b", " % "),
        (r"\bcentimet(?:re|er)s?\b", "cm"),
        (r"\bmillimet(?:re|er)s?\b", "mm"),
        (r"\bkilogram(?:me)?s?\b", "kg"),
        (r"\bgram(?:me)?s?\b", "g"),
        *((rf"\b{name}\b", str(number)) for number, name in enumerate(_NUMBERS)),
    )
)
_WORD = re.compile(r"-?\d+(?:\.\d+)?(?!\w)|[^\W_]+(?:[-'][^\W_]+)*|%")
_BETWEEN_WORDS = re.compile(r" |(?<=[^\W\d_])-")


def says(text: str, wording: str) -> bool:
    """Whether the words of `wording` stand in `text` in this order, with nothing between them.

    A hyphen in one of them may be a space in the other, but a part of a hyphenated word is not said. A wording without a
    word or a number is said by no text.
    """
    words = plain_text(wording)
    if not words:
        return False
    pattern = "[ -]".join(map(re.escape, _BETWEEN_WORDS.split(words)))
    return re.search(f" {pattern} ", f" {plain_text(text)} ") is not None


@lru_cache(maxsize=4096)
def plain_text(text: str) -> str:
    """The words and numbers of a text in plain spelling, a space between them; punctuation is left out."""
    text = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).casefold())
    for pattern, spelling in _SPELLINGS:
        text = pattern.sub(spelling, text)
    return " ".join(_WORD.findall(text))
