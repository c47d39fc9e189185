"""Words that carry a sentence's meaning, and which of them say the same.

A light stemmer of a few endings instead of a library's: what it must not do is to join opposites, and the words are few.
"""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_NAMES = frozenset(
    (
        "evening",
        "morning",
        "wedding",
        "earring",
        "legging",
        "lining",
        "clothing",
        "stocking",
        "shorts",
        "tights",
        "spring",
    )
)
_VOWEL = re.compile(r"[aeiouy]")
_SPELLINGS = {
    "gray": "grey", "color": "colour", "jewelry": "jewellery", "sneaker": "trainer", "sweater": "jumper", "pullover": "jumper",
    "pant": "trouser", "slack": "trouser", "waistcoat": "vest", "tee": "shirt", "pajama": "pyjama",
    "fiber": "fibre", "meter": "metre", "mold": "mould", "moisturise": "moisturize",
}  # fmt: skip
_STOP_WORDS = """
    a about above after again all also always am an and any approximately are around as at avoid be because been before
    being below best better between both but by can cannot could did do does done during each either else enough even ever
    every exactly few for from further get gets give gives go goes good great had has have having he help helps her here
    hers him his how i ideally if in instead into is it its itself just keep keeps less let lets like make makes many may
    maybe me might more most much must my need needs neither never no nor not note of off often on once one only onto or
    other others our ours out over own perhaps please quite rather really remember roughly same she should simply since so
    some still such sure take takes than that the their theirs them then there these they thing things this those though
    through tip to too under until up upon us use used using usually very want was way we wear wearing well were what when
    where whether which while who whom whose why will with within without worn would yes yet you your yours yourself
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())


def stem(word: str) -> str:
    """The word in small letters and one spelling, without the ending of a plural or of a verb's form."""
    word = word.lower().replace("\u2019", "'").removesuffix("'s")
    if word in _NAMES:
        return word
    if word.endswith(("ies", "ied")) and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "xes", "zes", "ches", "shes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    word = _SPELLINGS.get(word, word)
    if word in _NAMES:
        return word
    for ending, least in (("ing", 3), ("ed", 4), ("ly", 4)):
        base = word.removesuffix(ending)
        if base != word and len(base) >= least and _VOWEL.search(base):
            return base[:-1] if ending != "ly" and base[-1] == base[-2] and base[-1] not in "sl" else base
    return word


def words(text: str) -> list[str]:
    """Words in small letters, without numbers."""
    return [word.lower() for word in _WORD.findall(text)]


def content_words(text: str) -> list[str]:
    """Words that are not in the list of stop words, in order."""
    return [
        word
        for word in words(text)
        if word not in STOP_WORDS and len(word) > 2 and "n't" not in word.replace("\u2019", "'")
    ]


def same_word(one: str, other: str) -> bool:
    """Whether two stems are forms of one word: "warm" and "warmth", "short" and "shorten"."""
    if one == other:
        return True
    short, long = sorted((one, other), key=len)
    stays = short[:-1] if short[-1] in "ey" else short  # "crease" and "creasing", "heavy" and "heaviest"
    return len(stays) >= 4 and len(long) - len(short) < len(short) and long.startswith(stays)
