"""What a person's saved and rejected outfits and wardrobe move the ranking by: a bounded shift per category and colour, and why.

A garment is known by its category and the name of its colour. Its like-rate is that of the outfits that had such a garment, with
a Beta prior of mean 0.5, so that one verdict moves little and none moves nothing; each garment of this colour in the wardrobe
counts as a part of a saved outfit. Every garment of a rejected outfit is taken to be rejected, whichever was meant.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from aura.taxonomy import Category
from inference.outfits.items import category_text
from inference.outfits.reasons import Reason, Seen

MOST_SHIFT = 0.05
"""Bound of the shift, in units of the cosine similarity that the catalog is ranked by; no evidence reaches it."""
_PRIOR = 2.0
"""Verdicts of either kind that a garment begins with."""
_OWNED = 0.25
"""Saved outfits that a garment of the wardrobe is worth, up to `_MOST_OWNED` of a colour."""
_MOST_OWNED = 8

_Kind = tuple[Category, str]


@dataclass(frozen=True)
class Shift:
    """What a garment is moved by, and why; nothing where nothing is known of such garments."""

    amount: float = 0.0
    reason: Reason | None = None


NO_SHIFT = Shift()


@dataclass(frozen=True)
class Preferences:
    """Counts of one person.

    Attributes:
        saved, rejected: outfits that had a garment of a category and colour.
        owned: garments of a colour in the wardrobe.
    """

    saved: Counter[_Kind]
    rejected: Counter[_Kind]
    owned: Counter[str]

    @classmethod
    def of(cls, saved: Iterable[Sequence[Seen]], rejected: Iterable[Sequence[Seen]], wardrobe: Sequence[Seen]) -> Self:
        """The counts of outfits and of a wardrobe; garments of no known colour count nowhere."""
        return cls(
            saved=_outfits_with(saved), rejected=_outfits_with(rejected),
            owned=Counter(garment.colour.name for garment in wardrobe if garment.colour),
        )  # fmt: skip

    def shift(self, garment: Seen) -> Shift:
        """The shift of a garment, in (-MOST_SHIFT, MOST_SHIFT)."""
        if garment.colour is None:
            return NO_SHIFT
        kind, colour = (garment.item.category, garment.colour.name), garment.colour.name
        likes = self.saved[kind] + _OWNED * min(self.owned[colour], _MOST_OWNED)
        rate = (likes + _PRIOR) / (likes + self.rejected[kind] + 2 * _PRIOR)
        amount = MOST_SHIFT * (2 * rate - 1)
        if not (self.saved[kind] or self.rejected[kind] or self.owned[colour]):
            return NO_SHIFT
        return Shift(amount, Reason("preference", f"{self._why(kind)} ({amount:+.3f})"))

    def _why(self, kind: _Kind) -> str:
        category, colour = kind
        said = [
            f"{verb} {_counted(count, 'outfit')} with {colour} {category_text(category)}"
            for verb, count in (("rejected", self.rejected[kind]), ("saved", self.saved[kind]))
            if count
        ]
        if self.owned[colour]:
            said.append(f"own {_counted(self.owned[colour], f'{colour} garment')}")
        return f"you {' and '.join(said)}"


def _outfits_with(outfits: Iterable[Sequence[Seen]]) -> Counter[_Kind]:
    """Outfits by what is in them: two yellow tops in one outfit are one verdict."""
    kinds = ({(seen.item.category, seen.colour.name) for seen in outfit if seen.colour} for outfit in outfits)
    return Counter(kind for found in kinds for kind in found)


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
