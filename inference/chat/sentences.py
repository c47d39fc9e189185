"""Sentences of English knowledge pages and answers: what is quoted, checked and cited is always a whole one.

Rules and no library: pysbd 0.3.4, the only splitter of pure Python, had its last release in 2021 and rewrites the text that it
splits; nltk and spaCy need a model each. The pages hold few of the hard cases, and every one of them is tested.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,2}[.)])\s+\S")
_ROW = re.compile(r"\s*(?:\||#{1,6}\s)")
# Brackets and quotes that close behind the stop, emphasis, and citations such as [2] belong to the sentence that ends.
_END = re.compile(r"(?P<stop>\.{2,}|…|[.!?]+)[\"'”\u2019»)\]*_]*(?: ?\[\d+\])*(?= )")
_POINTS_BACK = re.compile(r"(?:It|They|This|These|Those|Both|Its|Their)\b")
_OPENING = "\"'“\u2018«([*_"
_BRACKETS = {"(": ")", "[": "]", "“": "”", "«": "»"}

_NEVER_LAST = frozenset(
    (
        "e.g",
        "eg",
        "i.e",
        "ie",
        "vs",
        "cf",
        "approx",
        "incl",
        "excl",
        "esp",
        "resp",
        "viz",
        "dr",
        "mr",
        "mrs",
        "ms",
        "prof",
    )
)
_BEFORE_NUMBERS = frozenset(("no", "nos", "nr", "fig", "figs", "p", "pp", "max", "min", "vol", "ch", "sec", "ca", "c"))


def split_sentences(text: str) -> list[str]:
    """The sentences of a text in order; joined by single blanks they are the text with its white space unified.

    A list item with its continuation, a table row and a heading are one sentence each; other line breaks are blanks. Text in
    brackets or in curly quotes is never cut. A stop before a small letter ends nothing ("approx. five", "wait ... then brush").
    """
    return [sentence for block in _blocks(text) for sentence in block]


def quotable_sentences(text: str) -> list[str]:
    """The sentences of a text as they can be quoted: one that begins with "it" or "they" together with the one before it."""
    quotable: list[str] = []
    for sentence in split_sentences(text):
        if quotable and _POINTS_BACK.match(sentence):
            quotable[-1] += f" {sentence}"
        else:
            quotable.append(sentence)
    return quotable


def _blocks(text: str) -> Iterator[list[str]]:
    """Sentences of each paragraph, list item, table row or heading."""
    prose: list[str] = []
    whole = False
    for line in text.split("\n"):  # not splitlines: a text may hold U+2028
        is_row = _ROW.match(line) is not None
        if is_row or not line.strip() or _ITEM.match(line):
            yield _sentences(prose, whole)
            prose, whole = [], not is_row and bool(line.strip())
        if is_row:
            yield _sentences([line], whole=True)
        else:
            prose.append(line)
    yield _sentences(prose, whole)


def _sentences(lines: list[str], whole: bool) -> list[str]:
    text = " ".join(" ".join(lines).split())
    if whole or not text:
        return [text] if text else []
    closed = _closed_brackets(text)
    sentences, start = [], 0
    for end in _END.finditer(text):
        if not any(left < end.start() and end.end() <= right for left, right in closed) and _ends(text, start, end):
            sentences.append(text[start : end.end()])
            start = end.end() + 1
    return [*sentences, text[start:]]


def _closed_brackets(text: str) -> list[tuple[int, int]]:
    """(first, last) position of each pair of brackets; one that is not closed holds nothing together."""
    pairs, open_at = [], dict[str, list[int]]()
    for position, character in enumerate(text):
        if character in _BRACKETS:
            open_at.setdefault(_BRACKETS[character], []).append(position)
        elif open_at.get(character):
            pairs.append((open_at[character].pop(), position))
    return pairs


def _ends(text: str, start: int, end: re.Match[str]) -> bool:
    """Whether the sentence that begins at `start` ends with this stop."""
    following = text[end.end() + 1 :].lstrip(_OPENING)
    if following[:1].islower():
        return False
    if end["stop"] != ".":
        return True
    before = text[start : end.start()].split()
    word = before[-1].lstrip(_OPENING) if before else ""
    if word.lower() in _NEVER_LAST:
        return False
    if word.lower() in _BEFORE_NUMBERS and following[:1].isdigit():
        return len(before) == 1  # "No. 30 °C is enough." answers a question; "shade No. 5" does not end
    # "Mary J. Smith" goes on; "Take size M. Larger ones hang." does not.
    initial = len(word) == 1 and word.isupper() and following[:1].isupper()
    return not (initial and (len(before) == 1 or before[-2][:1].isupper()))
