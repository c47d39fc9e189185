"""Baselines: how many questions the counts of the training outfits answer correctly, without any model.

Splits divide outfits, not garments, as in the non-disjoint split of Polyvore Outfits (arXiv 1803.09196): a garment of a
test outfit may have been worn in training outfits, with the very garments that it is worn with in the test. Part of the
questions can thus be answered from memory, and the two baselines say how many:

- popularity knows what is worn often, and nothing of the outfit. A model that is no better has learnt no compatibility;
- co-occurrence knows which garments were worn together, and nothing of how they look. A model that is no better may
  have learnt no more than to recognise pairs.

Neither knows a garment that no training outfit holds: there a model must look (`fitb_unseen` in `evaluate`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from aura.prepared_rows import ItemRow, OutfitRow
from aura.taxonomy import Category
from training.outfits.questions import Question


class Baseline(ABC):
    """Picks the candidate with the highest count; of equal ones those whose category was worn most in training."""

    def __init__(self, items: Mapping[str, ItemRow], train: Sequence[OutfitRow]) -> None:
        self._items = items
        self._category_count = Counter[Category](items[item].category for outfit in train for item in outfit.items)

    @abstractmethod
    def count(self, candidate: str, context: Sequence[str]) -> int:
        """How much the training outfits speak for the candidate beside the garments that are given."""

    def credit(self, question: Question) -> float:
        """Chance in [0, 1] that the baseline picks the answer: 1 divided by the number of candidates that tie for it."""
        ranks = [
            (self.count(item, question.context), self._category_count[self._items[item].category])
            for item in question.candidates
        ]
        best = max(ranks)
        return 1 / ranks.count(best) if ranks[question.answer] == best else 0.0

    def accuracy(self, questions: Sequence[Question]) -> float:
        """Expected share of right answers; 0 without questions."""
        return float(np.mean([self.credit(question) for question in questions])) if questions else 0.0


class Popularity(Baseline):
    """The garment seen in most training outfits, whatever it is to go with."""

    def __init__(self, items: Mapping[str, ItemRow], train: Sequence[OutfitRow]) -> None:
        super().__init__(items, train)
        self._item_count = Counter[str](item for outfit in train for item in outfit.items)

    def count(self, candidate: str, context: Sequence[str]) -> int:
        return self._item_count[candidate]


class Cooccurrence(Baseline):
    """The garment worn most with those that are given: training outfits of each pair, summed over the context."""

    def __init__(self, items: Mapping[str, ItemRow], train: Sequence[OutfitRow]) -> None:
        super().__init__(items, train)
        self._pair_count = Counter[tuple[str, str]](
            pair for outfit in train for pair in combinations(sorted(outfit.items), 2)
        )

    def count(self, candidate: str, context: Sequence[str]) -> int:
        return sum(self._pair_count[min(candidate, given), max(candidate, given)] for given in context)
