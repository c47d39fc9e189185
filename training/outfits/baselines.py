"""Baselines: how well counts of the training outfits answer the questions, without any model.

- *word pairs* knows which words and which categories were worn together (`inference.outfits.term_pairs`), of titles or of what
  the pictures are called by their colours. It is the control that a model must beat: it knows all that a model is told in
  words, needs no training, and works for a garment that nobody has worn yet;
- *popularity* knows which garments are worn often, and nothing of the outfit;
- *co-occurrence* knows which garments were worn together, by their ids, and nothing of how they look. Splits divide outfits, not
  garments, as in the non-disjoint split of Polyvore Outfits (arXiv 1803.09196): a garment of a test outfit may have been worn in
  training outfits, with the very garments that it is worn with in the test. So memory answers much of what is asked here, and
  nothing of what users ask: a garment of their own, or a new one of the shop, has no id that was worn before. It is
  reported, and judges nothing; where garments are worn once it is a guess by construction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np

from aura.prepared_rows import ItemRow, OutfitRow
from aura.taxonomy import Category
from inference.outfits.items import Item
from inference.outfits.model import pad_members
from inference.outfits.term_pairs import TermPairs, category_shares, pair_means
from training.outfits.questions import Question


class Baseline(ABC):
    """Picks the candidate of the highest rank."""

    @abstractmethod
    def ranks(self, questions: Sequence[Question]) -> list[list[tuple[float, ...]]]:
        """Per question the rank of each candidate, to be compared as a tuple."""

    def credits(self, questions: Sequence[Question]) -> np.ndarray:
        """float `(Q,)`: chance in [0, 1] that it picks the answer: 1 divided by the number of candidates that tie for it."""
        found = []
        for question, ranks in zip(questions, self.ranks(questions), strict=True):
            best = max(ranks)
            found.append(1 / ranks.count(best) if ranks[question.answer] == best else 0.0)
        return np.array(found)

    def accuracy(self, questions: Sequence[Question]) -> float:
        """Expected share of right answers; 0 without questions."""
        return float(self.credits(questions).mean()) if questions else 0.0


class _Counting(Baseline):
    """By a count; of equal ones those whose category was worn most in training."""

    def __init__(self, items: Mapping[str, ItemRow], train: Sequence[OutfitRow]) -> None:
        self._items = items
        self._category_count = Counter[Category](items[item].category for outfit in train for item in outfit.items)

    @abstractmethod
    def count(self, candidate: str, context: Sequence[str]) -> int:
        """How much the training outfits speak for the candidate beside the garments that are given."""

    def ranks(self, questions: Sequence[Question]) -> list[list[tuple[float, ...]]]:
        return [
            [
                (self.count(item, question.context), self._category_count[self._items[item].category])
                for item in question.candidates
            ]
            for question in questions
        ]


class Popularity(_Counting):
    """The garment seen in most training outfits, whatever it is to go with."""

    def __init__(self, items: Mapping[str, ItemRow], train: Sequence[OutfitRow]) -> None:
        super().__init__(items, train)
        self._item_count = Counter[str](item for outfit in train for item in outfit.items)

    def count(self, candidate: str, context: Sequence[str]) -> int:
        return self._item_count[candidate]


class Cooccurrence(_Counting):
    """The garment worn most with those that are given: training outfits of each pair, summed over the context."""

    def __init__(self, items: Mapping[str, ItemRow], train: Sequence[OutfitRow]) -> None:
        super().__init__(items, train)
        self._pair_count = Counter[tuple[str, str]](
            pair for outfit in train for pair in combinations(sorted(outfit.items), 2)
        )

    def count(self, candidate: str, context: Sequence[str]) -> int:
        return sum(self._pair_count[min(candidate, given), max(candidate, given)] for given in context)


class WordPairs(Baseline):
    """The garment whose words and category attract those of the garments that are given.

    Args:
        terms: counted in training outfits.
        items: by id, with the titles that are to be read.
    """

    def __init__(self, terms: TermPairs, items: Mapping[str, Item]) -> None:
        self._terms = terms
        self._row = {name: row for row, name in enumerate(items)}
        self._words = terms.shares(list(items.values()))
        self._categories = category_shares(list(items.values()))

    def scores(self, outfits: Sequence[Sequence[str]]) -> np.ndarray:
        """float32 `(B,)`: affinity of words plus affinity of categories."""
        members, present = pad_members([[self._row[item] for item in outfit] for outfit in outfits])
        words = pair_means(self._terms.words, self._words, members, present)
        return (words + pair_means(self._terms.categories, self._categories, members, present)).numpy()

    def ranks(self, questions: Sequence[Question]) -> list[list[tuple[float, ...]]]:
        if not questions:
            return []
        scores = self.scores([outfit for question in questions for outfit in question.completed()])
        # Equal candidates tie, whatever the rounding.
        rounded = scores.round(5).reshape(len(questions), -1).tolist()
        return [[(value,) for value in row] for row in rounded]
