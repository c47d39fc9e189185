"""Outfits that nobody wore, made of true ones: what a score must tell apart, and what a probability is measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from aura.prepared_rows import ItemRow, OutfitRow
from aura.taxonomy import Category

Corruption = Literal["same_category", "one_swapped", "any_category", "one_category"]
"""Every garment swapped for another of its category; one garment swapped so; every garment for any other; every garment for one
of the category of one of them, as four pairs of shoes."""
CORRUPTIONS: tuple[Corruption, ...] = get_args(Corruption)


@dataclass(frozen=True)
class Pool:
    """Garments that may be swapped in, by category."""

    category: Mapping[str, Category]
    members: Mapping[Category, Sequence[str]]

    @staticmethod
    def of(items: Mapping[str, ItemRow], outfits: Sequence[OutfitRow]) -> Pool:
        """The garments that some outfits hold."""
        worn = sorted({item for outfit in outfits for item in outfit.items})
        category = {item: items[item].category for item in worn}
        return Pool(
            category, {each: [item for item in worn if category[item] == each] for each in sorted({*category.values()})}
        )

    def all(self) -> list[str]:
        return [item for members in self.members.values() for item in members]


def corrupted(
    outfit: Sequence[str], corruption: Corruption, pool: Pool, rng: np.random.Generator
) -> tuple[str, ...] | None:
    """A corrupted copy of an outfit; None where the pool has nothing to make it of."""
    made = _MAKERS[corruption](outfit, pool, rng)
    return made if made != tuple(outfit) and len(made) >= 2 else None


def part_of(outfit: Sequence[str], rng: np.random.Generator) -> tuple[str, ...]:
    """Two or more garments of an outfit, in its order: what a photo shows, or a wardrobe has of it."""
    size = int(rng.integers(min(2, len(outfit)), len(outfit) + 1))
    return tuple(outfit[place] for place in sorted(rng.choice(len(outfit), size, replace=False)))


def _same_category(outfit: Sequence[str], pool: Pool, rng: np.random.Generator) -> tuple[str, ...]:
    swapped: list[str] = []
    for item in outfit:
        found = _draw(pool.members[pool.category[item]], 1, [*outfit, *swapped], rng)
        swapped += found or [item]
    return tuple(swapped)


def _one_swapped(outfit: Sequence[str], pool: Pool, rng: np.random.Generator) -> tuple[str, ...]:
    for place in rng.permutation(len(outfit)):
        if found := _draw(pool.members[pool.category[outfit[place]]], 1, outfit, rng):
            return (*outfit[:place], *found, *outfit[place + 1 :])
    return tuple(outfit)


def _any_category(outfit: Sequence[str], pool: Pool, rng: np.random.Generator) -> tuple[str, ...]:
    return tuple(_draw(pool.all(), len(outfit), outfit, rng))


def _one_category(outfit: Sequence[str], pool: Pool, rng: np.random.Generator) -> tuple[str, ...]:
    category = pool.category[outfit[int(rng.integers(len(outfit)))]]
    return tuple(_draw(pool.members[category], len(outfit), outfit, rng))


_MAKERS: Mapping[Corruption, Callable[[Sequence[str], Pool, np.random.Generator], tuple[str, ...]]] = {
    "same_category": _same_category,
    "one_swapped": _one_swapped,
    "any_category": _any_category,
    "one_category": _one_category,
}


def _draw(members: Sequence[str], count: int, without: Sequence[str], rng: np.random.Generator) -> list[str]:
    """As many different members as there are, up to `count`."""
    left = [item for item in members if item not in without]
    return [left[index] for index in rng.choice(len(left), min(count, len(left)), replace=False)] if left else []
