"""Corrupted outfits are what their kind says, at every draw."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.outfits.conftest import outfit_of, rows_of
from training.outfits.corruptions import CORRUPTIONS, Corruption, Pool, corrupted

_ROWS = rows_of(tops=6, bottoms=5, shoes=7, hats=1)
_OUTFIT = ("tops-0", "bottoms-0", "shoes-0", "hats-0")
_POOL = Pool.of(_ROWS, [outfit_of(*_ROWS)])


def _made(kind: Corruption, seed: int, pool: Pool = _POOL) -> tuple[str, ...]:
    made = corrupted(_OUTFIT, kind, pool, np.random.default_rng(seed))
    assert made is not None
    assert len(set(made)) == len(made)
    return made


def _categories(outfit: tuple[str, ...]) -> list[str]:
    return [item.partition("-")[0] for item in outfit]


@pytest.mark.parametrize("seed", range(10))
def test_each_kind_is_what_it_says(seed: int) -> None:
    swapped = _made("same_category", seed)
    assert _categories(swapped) == _categories(_OUTFIT)
    assert set(swapped) & set(_OUTFIT) == {"hats-0"}, "there is no other hat"
    one = _made("one_swapped", seed)
    assert _categories(one) == _categories(_OUTFIT)
    assert len(set(one) & set(_OUTFIT)) == 3
    anything = _made("any_category", seed)
    assert len(anything) == 4
    assert anything != _OUTFIT
    stack = _made("one_category", seed) if _has_stack(seed) else _OUTFIT[:1]
    assert len(set(_categories(stack))) == 1
    assert not set(stack) & set(_OUTFIT) or stack == _OUTFIT[:1]


def _has_stack(seed: int) -> bool:
    """Of the only hat no outfit can be made."""
    return corrupted(_OUTFIT, "one_category", _POOL, np.random.default_rng(seed)) is not None


def test_every_category_is_piled_up_that_has_enough() -> None:
    piled = {_categories(_made("one_category", seed))[0] for seed in range(40) if _has_stack(seed)}
    assert piled == {"tops", "bottoms", "shoes"}
    assert not all(_has_stack(seed) for seed in range(40))


def test_every_garment_becomes_any_other() -> None:
    assert not any(set(_made("any_category", seed)) & set(_OUTFIT) for seed in range(60))
    drawn = {item.partition("-")[0] for seed in range(60) for item in _made("any_category", seed)}
    assert drawn == {"tops", "bottoms", "shoes"}, "the only hat is in the outfit"


def test_draws_differ() -> None:
    for kind in CORRUPTIONS:
        assert len({corrupted(_OUTFIT, kind, _POOL, np.random.default_rng(seed)) for seed in range(20)}) > 5


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_of_nothing_nothing_is_made(kind: Corruption) -> None:
    alone = Pool.of(_ROWS, [outfit_of(*_OUTFIT)])
    assert corrupted(_OUTFIT, kind, alone, np.random.default_rng(0)) is None
