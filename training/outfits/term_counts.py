"""Count in training outfits which words and which categories were worn together: `inference.outfits.term_pairs`.

Smoothed PMI: log((n + k) / (e + k)) of two terms that are seen together in n pairs of garments, where e pairs are expected of
terms that ignore each other. k pairs of no preference keep rare terms near 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch

from aura.taxonomy import CATEGORIES
from inference.outfits.items import title_words
from inference.outfits.term_pairs import TermPairs
from training.outfits.data import OutfitTables, named

SMOOTHING = 4.0
_MIN_WEARINGS = 3
_MAX_WORDS = 1000


def count_terms(tables: OutfitTables) -> TermPairs:
    """Affinities of the terms of garments that were worn in training outfits.

    Each garment counts with the words of its title and with those that its picture gives: a titled garment may be worn beside
    one without.
    """
    outfits = tables.outfits["train"]
    worn = Counter(item for outfit in outfits for item in outfit.items)
    rows = [tables.items[item] for item in worn]
    words = [[title_words(named(row, titles=titles)) for row in rows] for titles in (True, False)]
    vocabulary = _vocabulary(words, list(worn.values()))
    column = {word: index for index, word in enumerate(vocabulary)}
    has_word = np.zeros((len(rows), len(vocabulary)))
    for each in words:
        for number, found in enumerate(each):
            has_word[number, [column[word] for word in found if word in column]] += 1
    has_category = np.array([[row.category == category for category in CATEGORIES] for row in rows], dtype=float)
    number_of = {item: number for number, item in enumerate(worn)}
    members = [[number_of[item] for item in outfit.items] for outfit in outfits]
    return TermPairs(
        vocabulary, torch.from_numpy(_affinity(has_word, members)), torch.from_numpy(_affinity(has_category, members))
    )


def _vocabulary(words: Sequence[Sequence[frozenset[str]]], wearings: Sequence[int]) -> tuple[str, ...]:
    """The most frequent words; of equally frequent ones the first in the alphabet."""
    count = Counter[str]()
    for each in words:
        for found, times in zip(each, wearings, strict=True):
            count.update(dict.fromkeys(found, times))
    frequent = sorted((-times, word) for word, times in count.items() if times >= _MIN_WEARINGS)
    return tuple(word for _, word in frequent[:_MAX_WORDS])


def _affinity(has_term: np.ndarray, members: Sequence[Sequence[int]]) -> np.ndarray:
    """float32 `(V, V)` of `has_term`, float `(N, V)`: how often each garment counts for each term."""
    whole = np.array([has_term[list(rows)].sum(axis=0) for rows in members])
    wearings = np.bincount(np.concatenate([list(rows) for rows in members]), minlength=len(has_term))
    # All pairs of garments of an outfit, less each garment with itself.
    together = whole.T @ whole - (has_term * wearings[:, None]).T @ has_term
    margin = together.sum(axis=0)
    expected = np.outer(margin, margin) / max(together.sum(), 1.0)
    return np.log((together + SMOOTHING) / (expected + SMOOTHING)).astype(np.float32)
