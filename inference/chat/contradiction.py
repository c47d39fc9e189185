"""Does a passage's sentence speak against a claim about the same thing?

By another number, the number of another thing, an excluding word, exchanged roles, or what is denied. None of this sees an
embedding; all of it is safe to be too strict about, as what is refused is replaced by the passage's own words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from inference.chat.content_words import content_words, same_word, stem
from inference.chat.contrasts import contradicting_word, is_specific, roles_swapped
from inference.chat.polarity import denial_count, polarity_differs
from inference.chat.quantities import Quantity, compare_quantities, quantities

_SOURCE_CLAUSES = re.compile(r"[,;.](?=\s|$)|\b(?:while|whereas|but)\b")
_CLAIM_PARTS = re.compile(r"[,;:.](?=\s|$)|\b(?:and|while|whereas|but)\b")
_SAYS_ALL = 0.9
"""Coverage of a source from which a claim repeats it, so that each of its negations must be found again."""
_ONLY = re.compile(r"\bonly\b(?P<condition>[^,;:.]*)")


def speaks_against(claim: str, source: str) -> bool:
    """Whether the claim cannot be true where the source is. Both are whole sentences about the same thing."""
    return (
        compare_quantities(quantities(claim), quantities(source)) == "other"
        or number_of_another_thing(claim, source)
        or contradicting_word(claim, source) is not None
        or roles_swapped(claim, source)
        or polarity_differs(claim, source)
    )


def misquotes(claim: str, sentence: str) -> bool:
    """Whether the claim repeats a whole sentence of a source but for its negations."""
    return coverage(sentence, claim) >= _SAYS_ALL and denial_count(claim) != denial_count(sentence)


def coverage(claim: str, source: str) -> float:
    """Share of the claim's distinct content words that the source has in some form; 1 for a claim without any."""
    said = _stems(claim)
    return sum(_held(word, [source]) for word in said) / len(said) if said else 1.0


def number_of_another_thing(claim: str, source: str) -> bool:
    """Whether a number of the claim is that of something else in the source.

    "Iron silk at 200 °C", where the source gives 150 °C for silk and 200 °C for linen: a word of the claim stands only in clauses
    with another number of the kind.
    """
    clauses = [(clause, quantities(clause)) for clause in _SOURCE_CLAUSES.split(source.lower())]
    for words, quantity in _parts(claim):
        own = [clause for clause, held in clauses if any(one.holds(quantity) for one in held)]
        foreign = [
            clause for clause, held in clauses if clause not in own and any(one.same_kind(quantity) for one in held)
        ]
        neutral = [clause for clause, _ in clauses if clause not in foreign]
        if own and any(_held(word, foreign) and not _held(word, neutral) for word in words):
            return True
    return False


def leaves_condition_out(claim: str, source: str) -> bool:
    """Whether the source says "only" of a condition or a number that the claim does not mention."""
    if "only" in claim.lower().split():
        return False
    said = quantities(claim)
    for match in _ONLY.finditer(source.lower()):
        words, numbers = _stems(match["condition"]), quantities(match["condition"])
        if (words and not any(_held(word, [claim]) for word in words)) or compare_quantities(numbers, said) != "held":
            return True
    return False


def names_another_thing(claim: str, source: str) -> bool:
    """Whether the claim names a colour, fabric, garment or the like that the source does not."""
    return any(is_specific(word) and not _held(word, [source]) for word in _stems(claim))


def _parts(claim: str) -> list[tuple[set[str], Quantity]]:
    """Each quantity of the claim with the stems around it: all, or those of its part where the claim has several of a kind."""
    found = quantities(claim)
    pairs = []
    for quantity in found:
        if sum(other.same_kind(quantity) for other in found) == 1:
            pairs.append((_stems(claim), quantity))
    for part in _CLAIM_PARTS.split(claim):
        held = quantities(part)
        if len(held) == 1 and sum(other.same_kind(held[0]) for other in found) > 1:
            pairs.append((_stems(part), held[0]))
    return pairs


def _held(word: str, texts: Sequence[str]) -> bool:
    return any(same_word(word, twin) for text in texts for twin in _stems(text))


def _stems(text: str) -> set[str]:
    return {stem(word) for word in content_words(text)}
