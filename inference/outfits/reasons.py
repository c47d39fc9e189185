"""Why garments go together, from the garments themselves: their measured colours, what the catalog says of them, and which words
the outfits of the training combine. Where nothing is known of two garments, nothing is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from inference.colours import DominantColour
from inference.outfits.colour_relations import Relation, is_neutral, relation
from inference.outfits.items import Item, category_text

ReasonKind = Literal["colour", "style", "season", "occasion", "worn_together", "preference"]
_SHARED: dict[ReasonKind, str] = {"style": "style", "season": "season", "occasion": "occasion"}
_SAYS_NOTHING = ("all-season",)
_LEAST_FACTOR = 1.5
"""How much more often than by chance two words must stand in one outfit to be mentioned."""
_TELLING: tuple[Relation, ...] = ("complementary", "analogous", "tonal", "accent", "neutral")
"""The most telling first."""

Affinity = Callable[[Item, Item], tuple[str, str, float] | None]
"""Of two garments the words that attract each other most, and their pointwise mutual information."""


@dataclass(frozen=True)
class Seen:
    """A garment with its main colour, measured in its picture; None without one."""

    item: Item
    colour: DominantColour | None

    @property
    def name(self) -> str:
        return self.item.title.strip() or category_text(self.item.category)


@dataclass(frozen=True)
class Reason:
    """Something that two garments have to do with each other.

    Attributes:
        relation: of their colours, where the reason is one of colour.
    """

    kind: ReasonKind
    text: str
    relation: Relation | None = None


def reasons_for(item: Seen, others: Sequence[Seen], affinity: Affinity) -> list[Reason]:
    """Why a garment goes with the others of an outfit: of each kind the most telling reason."""
    return _most_telling([(item, other) for other in others], affinity)


def reasons_within(outfit: Sequence[Seen], affinity: Affinity) -> list[Reason]:
    """What the garments of an outfit have to do with each other, contrasts of colour included."""
    pairs = list(combinations(outfit, 2))
    found = _most_telling(pairs, affinity)
    harsh = [reason for pair in pairs if (reason := _of_colour(*pair)) and reason.relation == "contrasting"]
    return found + harsh[:1]


def _most_telling(pairs: Sequence[tuple[Seen, Seen]], affinity: Affinity) -> list[Reason]:
    colours = [reason for pair in pairs if (reason := _of_colour(*pair)) is not None]
    good = [reason for reason in colours if reason.relation in _TELLING]
    best = sorted(good, key=lambda reason: _TELLING.index(reason.relation or "neutral"))[:1]
    for kind, attribute in _SHARED.items():
        best += [reason for pair in pairs if (reason := _shared(kind, attribute, *pair)) is not None][:1]
    return best + _worn_together(pairs, affinity)


def _of_colour(first: Seen, second: Seen) -> Reason | None:
    if first.colour is None or second.colour is None:
        return None
    found = relation(first.colour, second.colour)
    said = [f"the {first.colour.name} of {first.name}", f"the {second.colour.name} of {second.name}"]
    if found.name == "accent" and is_neutral(first.colour):
        said.reverse()  # the accent is named first
    return Reason("colour", found.words(*said), found.name)


def _shared(kind: ReasonKind, attribute: str, first: Seen, second: Seen) -> Reason | None:
    said = first.item.attributes.get(attribute, "")
    if not said or said in _SAYS_NOTHING or said != second.item.attributes.get(attribute):
        return None
    return Reason(kind, f"{first.name} and {second.name} have the same {attribute}: {said}")


def _worn_together(pairs: Sequence[tuple[Seen, Seen]], affinity: Affinity) -> list[Reason]:
    found = [strongest for first, second in pairs if (strongest := affinity(first.item, second.item)) is not None]
    if not found:
        return []
    word, other, information = max(found, key=lambda pair: pair[2])
    factor = math.exp(information)
    if factor < _LEAST_FACTOR:
        return []
    return [Reason("worn_together", f"outfits that the model learnt from combine {word!r} with {other!r} "
                   f"{factor:.1f} times as often as chance would")]  # fmt: skip
