"""Negatives made from the batch itself: corrupted outfits, blanks to fill, and which items may serve as wrong answers.

Shapes: N items, B outfits, L positions (padded). Everything random comes from torch's global generator, which
`training.trainer.SeedEachBatch` reseeds before each training batch, so that a resumed training sees what an uninterrupted
one would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training.outfits.corruptions import Corruption


@dataclass(frozen=True)
class Outfits:
    """B outfits over the rows of one item batch.

    Attributes:
        members: int64 `(B, L)`, rows of the item batch; any valid row where padded.
        present: bool `(B, L)`, True for a garment that is shown, False for padding and for hidden ones.
        hidden: bool `(B, L)`, True for a garment of the outfit that is not shown; None when all are.
    """

    members: Tensor
    present: Tensor
    hidden: Tensor | None = None

    def __len__(self) -> int:
        return len(self.members)

    def holds(self, n: int) -> Tensor:
        """bool `(B, N)`: which of the N items an outfit holds, shown or hidden."""
        own = self.present if self.hidden is None else self.present | self.hidden
        held = torch.zeros(len(self.members), n, dtype=torch.long, device=self.members.device)
        return held.scatter_add_(1, self.members, own.long()) > 0


@dataclass(frozen=True)
class Blanks:
    """One blank per outfit that has at least two items.

    Attributes:
        context: the outfits without the answer, `(Q, L)`.
        answer: int64 `(Q,)`, row of the item taken out.
        whole: bool `(Q, N)`: items of the full outfit, never to be used as negatives.
    """

    context: Outfits
    answer: Tensor
    whole: Tensor


def corrupt(outfits: Outfits, category_N: Tensor, corruption: Corruption) -> tuple[Outfits, Tensor]:
    """Swap garments for random ones from other outfits of the batch.

    Returns:
        The corrupted outfits and bool `(B,)`: False where nothing could be swapped.
    """
    n = len(category_N)
    own = outfits.holds(n)
    wanted = category_N[outfits.members]
    swap = outfits.present
    if corruption == "one_category":
        kept = _pick_one(outfits.present)
        wanted = wanted.masked_fill(~kept, 0).sum(dim=1, keepdim=True).expand_as(wanted)
        swap = swap & ~kept
    fits = wanted[:, :, None] == category_N[None, None, :]
    if corruption == "any_category":
        fits = torch.ones_like(fits)
    allowed = fits & ~own[:, None, :] & swap[:, :, None]
    draws = torch.rand(allowed.shape, device=category_N.device)
    substitute = draws.masked_fill(~allowed, -1).argmax(dim=2)
    swap = allowed.any(dim=2)
    if corruption == "one_swapped":
        swap = _pick_one(swap)
    return Outfits(torch.where(swap, substitute, outfits.members), outfits.present), swap.any(dim=1)


def thin_out(outfits: Outfits, probability: float) -> Outfits:
    """With this probability show an outfit without a random part of its garments; at least two stay."""
    shape = outfits.members.shape
    device = outfits.members.device
    draws = torch.rand(shape, device=device).masked_fill(~outfits.present, 2)
    order = draws.argsort(dim=1).argsort(dim=1)
    count = outfits.present.sum(dim=1)
    keep = (2 + (torch.rand(len(outfits), device=device) * (count - 1)).long()).clamp(max=count)
    keep = torch.where(torch.rand(len(outfits), device=device) < probability, keep, count)
    shown = outfits.present & (order < keep[:, None])
    return Outfits(outfits.members, shown, outfits.present & ~shown)


def blank_out(outfits: Outfits, n: int) -> Blanks:
    """Take a random garment out of each outfit of two or more items."""
    large_enough = outfits.present.sum(dim=1) >= 2
    chosen = Outfits(outfits.members[large_enough], outfits.present[large_enough])
    blank = _pick_one(chosen.present)
    answer = chosen.members.gather(1, blank.long().argmax(dim=1, keepdim=True)).squeeze(1)
    return Blanks(Outfits(chosen.members, chosen.present & ~blank), answer, outfits.holds(n)[large_enough])


def wrong_answers(blanks: Blanks, category_N: Tensor, *, same_category: bool) -> Tensor:
    """bool `(Q, N)`: items of the batch that are wrong answers; the curriculum's hard ones share the answer's category."""
    if not same_category:
        return ~blanks.whole
    return ~blanks.whole & (category_N[None, :] == category_N[blanks.answer][:, None])


def _pick_one(choices: Tensor) -> Tensor:
    """bool like `choices`: one random True of each row stays; rows without any stay empty."""
    draws = torch.rand(choices.shape, device=choices.device).masked_fill(~choices, -1)
    picked = torch.zeros_like(choices)
    picked.scatter_(1, draws.argmax(dim=1, keepdim=True), True)
    return picked & choices
