"""Which of one's garments a question is about, by rule: the small base reads no list of garments and calls no tool.

`what goes with my navy blazer?` is about the garment of the wardrobe that is a blazer and navy; `what can I wear with this?` is
about those of the photo. A garment is found by its noun (a word of its title, or one that `aura.taxonomy` knows) and one of the
words before the noun, where there are some; a wrong garment is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from aura.errors import DataError
from aura.taxonomy import Category, category_of

_ASKS = re.compile(
    r"\b(?:goe?s?(?: well| nicely)? with|wear|match(?:es)?|pairs?|combine|style|outfits?|looks? (?:good|nice|well) with)\b",
    re.IGNORECASE,
)
_POINTS = re.compile(r"\b(my|this|these|that|those|the)\b((?:\s+[\w'-]+){0,5})", re.IGNORECASE)
_OWN = frozenset(["my", "the"])
_OWN_ALONE = re.compile(r"\b(?:only )?(?:from|in|of|with) my (?:own )?(?:wardrobe|closet|clothes)\b", re.IGNORECASE)
_SAYS_NOTHING = frozenset(
    ["old", "new", "own", "other", "favourite", "favorite", "best", "nice", "good", "one", "pair", "of", "and"]
)
_MOST_TOGETHER = 4
"""Garments of a photo that an outfit begins with, one per category."""


@dataclass(frozen=True, kw_only=True)
class KnownGarment:
    """A garment that a question may be about.

    Attributes:
        wardrobe_id: of the wardrobe; None: of the photo.
        title: for people, for example `Navy wool blazer`.
    """

    wardrobe_id: str | None
    category: Category
    title: str
    colour: str | None = None

    @property
    def words(self) -> frozenset[str]:
        return frozenset(_stem(word) for word in re.findall(r"\w+", f"{self.title} {self.colour or ''}".lower()))


@dataclass(frozen=True, kw_only=True)
class GarmentQuestion:
    """A question for an outfit.

    Attributes:
        said: how the question names the garment, for example `my navy blazer`.
        garments: those that are meant; empty: none is known.
        own_alone: whether the rest is to come from the wardrobe alone.
    """

    said: str
    garments: Sequence[KnownGarment]
    own_alone: bool


def garment_question(question: str, known: Sequence[KnownGarment]) -> GarmentQuestion | None:
    """What a question wants to be worn with, and what is known of it; None where it does not ask for that.

    Args:
        known: garments of the wardrobe, newest first, and of the photo, the surest first.
    """
    if not _ASKS.search(question):
        return None
    own_alone = bool(_OWN_ALONE.search(question))
    first: GarmentQuestion | None = None
    for pointer, following in _POINTS.findall(_OWN_ALONE.sub("", question)):
        if pointer.lower() == "the" and not own_alone:
            continue  # of shoes in general, or of the person's own? It is not told.
        of_photo = [garment for garment in known if garment.wardrobe_id is None]
        of_wardrobe = [garment for garment in known if garment.wardrobe_id is not None]
        own = pointer.lower() in _OWN
        candidates = [*of_wardrobe, *of_photo] if own else [*of_photo, *of_wardrobe]
        words = [_stem(word) for word in re.findall(r"\w+", following.lower())]
        noun = _noun(words, candidates)
        if noun is None and not own and of_photo:
            found, said = _one_per_category(of_photo), pointer
        elif noun is None:
            continue
        else:
            found = _meant(words[:noun], words[noun], candidates)
            said = " ".join([pointer, *following.split()[: noun + 1]])
        asked = GarmentQuestion(said=said.lower(), garments=found, own_alone=own_alone)
        if found:
            return asked
        first = first or asked
    return first


def _noun(words: Sequence[str], garments: Sequence[KnownGarment]) -> int | None:
    """Place of the first word that names a kind of garment, or that ends a known title."""
    last_words = {_stem(garment.title.lower().split()[-1]) for garment in garments if garment.title.strip()}
    return next((place for place, word in enumerate(words) if _category(word) or word in last_words), None)


def _meant(adjectives: Sequence[str], noun: str, garments: Sequence[KnownGarment]) -> list[KnownGarment]:
    """The garment that fits best; of equal ones the first."""
    telling = {word for word in adjectives if word not in _SAYS_NOTHING}
    fitting = [
        garment
        for garment in garments
        if (noun in garment.words or _may_be(noun, garment)) and (not telling or telling & garment.words)
    ]
    return sorted(fitting, key=lambda garment: -(2 * (noun in garment.words) + len(telling & garment.words)))[:1]


def _may_be(noun: str, garment: KnownGarment) -> bool:
    """Whether a garment is of the noun's category, and its title names no other kind: `Navy outerwear` may be a blazer."""
    other_kinds = {word for word in garment.words if _category(word)} - {_stem(garment.category.value)}
    return _category(noun) == garment.category and (not other_kinds or noun == _stem(garment.category.value))


def _one_per_category(garments: Sequence[KnownGarment]) -> list[KnownGarment]:
    first_of = {garment.category: garment for garment in reversed(garments)}
    return [garment for garment in garments if first_of[garment.category] is garment][:_MOST_TOGETHER]


def _category(stem: str) -> Category | None:
    for label in (stem, f"{stem}s", f"{stem}es"):
        try:
            return category_of(label)
        except DataError:
            continue
    return None


def _stem(word: str) -> str:
    """Singular and plural alike: `dresses` and `dress`, `shoes` and `shoe`."""
    if word.endswith(("sses", "shes", "ches", "xes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
