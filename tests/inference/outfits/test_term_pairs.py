"""The mean affinity of an outfit's pairs, and the files that hold affinities."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from aura.taxonomy import Category
from inference.outfits.items import Item
from inference.outfits.model import pad_members
from inference.outfits.term_pairs import TermPairs, category_shares, pair_means
from tests.inference.outfits.conftest import term_pairs


def test_an_outfit_is_the_mean_over_its_pairs_of_garments() -> None:
    draws = torch.Generator().manual_seed(0)
    affinity = torch.randn(5, 5, generator=draws)
    affinity = affinity + affinity.T
    shares = torch.rand(7, 5, generator=draws)
    outfits = [[0, 1], [2, 3, 4, 5, 6], [1], [3, 3, 0]]
    found = pair_means(affinity, shares, *pad_members(outfits))
    expected = [
        np.mean([float(shares[a] @ affinity @ shares[b]) for a, b in combinations(outfit, 2)]) if len(outfit) > 1 else 0
        for outfit in outfits
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_an_item_shares_itself_among_the_words_that_are_known() -> None:
    pairs = term_pairs()
    shares = pairs.shares(
        [Item("a", Category.TOPS, "Red silk shirt"), Item("b", Category.TOPS, "silk"), Item("c", "tops")]
    )
    columns = [pairs.vocabulary.index(word) for word in ("red", "shirt")]
    assert shares[0, columns].tolist() == [0.5, 0.5]
    assert shares.sum(dim=1).tolist() == [1, 0, 0]


def test_a_garment_has_one_category() -> None:
    assert category_shares([Item("a", Category.LEGWEAR), Item("b", Category.TOPS)]).argmax(dim=1).tolist() == [11, 0]


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    pairs = term_pairs()
    pairs.save(tmp_path)
    loaded = TermPairs.load(tmp_path)
    assert loaded.vocabulary == pairs.vocabulary
    torch.testing.assert_close(loaded.words, pairs.words, rtol=0, atol=0)
    torch.testing.assert_close(loaded.categories, pairs.categories, rtol=0, atol=0)


@pytest.mark.parametrize("words", [0, 1])
def test_few_words_are_no_problem(tmp_path: Path, words: int) -> None:
    TermPairs(("red",)[:words], torch.zeros(words, words), torch.zeros(12, 12)).save(tmp_path)
    shares = TermPairs.load(tmp_path).shares([Item("a", Category.TOPS, "red"), Item("b", Category.BAGS)])
    assert pair_means(torch.ones(words, words), shares, *pad_members([[0, 1]])).tolist() == [0]
