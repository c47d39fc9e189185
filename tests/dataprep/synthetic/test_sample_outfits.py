"""What goes together can be told: outfits follow the rules, mistakes and chance do not."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from statistics import mean

import pytest

from aura.taxonomy import CATEGORIES
from dataprep.synthetic.outfits import Outfit, build_outfits, wearable
from dataprep.synthetic.palette import colour, colour_names
from dataprep.synthetic.rules import (
    WEIGHTS,
    colour_harmony,
    compatibility,
    occasion_affinity,
    pattern_calm,
    rule_scores,
    season_affinity,
    style_affinity,
)
from dataprep.synthetic.shop import Product, build_shop
from dataprep.synthetic.wardrobe import ALL_SEASON, CATEGORY_SHARE, LINES, SEASONS, STYLES

SHOP = build_shop(300, seed=3)


@pytest.fixture(scope="module")
def clean() -> list[Outfit]:
    return build_outfits(SHOP, 150, 3, noise=0.0)


@pytest.fixture(scope="module")
def spoilt() -> list[Outfit]:
    return build_outfits(SHOP, 150, 3, noise=1.0)


@pytest.fixture(scope="module")
def chance(clean: list[Outfit]) -> list[list[Product]]:
    """The same categories, products at random."""
    rng = random.Random(0)
    return [
        [rng.choice([item for item in SHOP if item.category is product.category]) for product in outfit.products]
        for outfit in clean
    ]


def told_apart(good: list[float], bad: list[float]) -> float:
    """How often a good outfit scores higher than a bad one (AUC)."""
    return mean((score > other) + 0.5 * (score == other) for score in good for other in bad)


def test_outfits_are_told_from_chance_and_from_mistakes(
    clean: list[Outfit], spoilt: list[Outfit], chance: list[list[Product]]
) -> None:
    good = [compatibility(outfit.products) for outfit in clean]
    assert told_apart(good, [compatibility(products) for products in chance]) > 0.95
    assert told_apart(good, [compatibility(outfit.products) for outfit in spoilt]) > 0.75
    for rule in WEIGHTS:
        kept = mean(rule_scores(outfit.products)[rule] for outfit in clean)
        assert kept > mean(rule_scores(products)[rule] for products in chance) + 0.02, rule


def test_outfits_without_noise_keep_the_rules(clean: list[Outfit]) -> None:
    for outfit in clean:
        products = outfit.products
        assert not outfit.noisy
        assert 4 <= len(products) <= 8
        assert len({product.category for product in products}) == len(products)
        # One style and one season that no garment contradicts.
        assert any(all(style_affinity(style, item.style) > 0 for item in products) for style in STYLES)
        assert any(all(season_affinity(season, item.season) > 0 for item in products) for season in SEASONS)
        for product in products:
            assert wearable(product, [other for other in products if other is not product])


@pytest.mark.parametrize(
    ("garment", "worn", "allowed"),
    [
        ("tights", "skirt heels", True),
        ("tights", "skirt sandals", False),
        ("tights", "trousers heels", False),
        ("socks", "jeans sneakers", True),
        ("socks", "dress heels", False),
        ("tie", "shirt trousers", True),
        ("tie", "t-shirt jeans", False),
        ("belt", "shirt skirt", True),
        ("belt", "dress", False),
        ("necklace", "dress", True),
        ("necklace", "dress scarf", False),
        ("cap", "", True),
    ],
)
def test_what_makes_sense_on_a_body(garment: str, worn: str, allowed: bool) -> None:
    others = [replace(SHOP[0], garment=name) for name in worn.split()]
    assert wearable(replace(SHOP[0], garment=garment), others) is allowed


def test_noise_swaps_one_product_within_its_category(clean: list[Outfit], spoilt: list[Outfit]) -> None:
    swapped = 0
    for good, bad in zip(clean, spoilt, strict=True):
        assert bad.noisy
        assert good.outfit_id == bad.outfit_id
        assert [item.category for item in good.products] == [item.category for item in bad.products]
        different = sum(first != second for first, second in zip(good.products, bad.products, strict=True))
        assert different <= 1
        swapped += different
    # By chance the same product may be drawn again.
    assert swapped > 130


def test_the_share_of_noise_is_kept() -> None:
    assert sum(outfit.noisy for outfit in build_outfits(SHOP, 400, 3, noise=0.2)) == pytest.approx(80, abs=25)


def test_popular_products_come_back_but_the_rest_is_worn_too(clean: list[Outfit]) -> None:
    worn = {product.item_id for outfit in clean for product in outfit.products}
    assert len(worn) > 0.7 * len(SHOP)


def test_the_shop_has_every_category_in_proportion() -> None:
    for count in (48, 300, 700):
        shop = build_shop(count, seed=1)
        assert len(shop) == count
        assert len({product.item_id for product in shop}) == len({product.title for product in shop}) == count
        for category in CATEGORIES:
            amount = sum(product.category is category for product in shop)
            assert amount == pytest.approx(count * CATEGORY_SHARE[category], rel=0.35, abs=6)
            assert amount >= 2
    assert {product.style for product in SHOP} == set(STYLES)
    assert {product.season for product in SHOP} == {*SEASONS, ALL_SEASON}


def test_shares_of_the_categories_sum_to_one() -> None:
    assert sum(CATEGORY_SHARE.values()) == pytest.approx(1.0)
    assert set(LINES) == set(CATEGORY_SHARE) == set(CATEGORIES)


@pytest.mark.parametrize(
    ("names", "least", "most"),
    [
        (("black", "navy", "beige", "red"), 1.0, 1.0),
        (("blue", "sky blue"), 0.9, 1.0),
        (("red", "emerald"), 0.8, 1.0),
        (("red", "mint", "fuchsia", "yellow"), 0.0, 0.4),
        ((), 1.0, 1.0),
    ],
)
def test_colour_harmony(names: tuple[str, ...], least: float, most: float) -> None:
    assert least <= colour_harmony(names) <= most
    assert colour_harmony(names) == colour_harmony(names[::-1])


def test_neutrals_change_nothing() -> None:
    chromatic = [name for name in colour_names() if not colour(name).neutral]
    for first, second in itertools.combinations(chromatic, 2):
        assert 0 <= colour_harmony([first, second]) == colour_harmony([first, "camel", second, "black"]) <= 1


def test_an_unknown_colour_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown colour 'puce'; known: black"):
        colour("puce")


def test_affinities_are_symmetric_and_one_with_oneself() -> None:
    occasions = sorted({name for lines in LINES.values() for line in lines for name in line.occasions})
    for affinity, names in (
        (style_affinity, STYLES), (season_affinity, (*SEASONS, ALL_SEASON)), (occasion_affinity, occasions),
    ):  # fmt: skip
        for first, second in itertools.product(names, repeat=2):
            assert 0 <= affinity(first, second) == affinity(second, first) <= 1
            assert affinity(first, first) == 1


def test_seasons_go_round() -> None:
    assert season_affinity("winter", "spring") == season_affinity("spring", "summer") == 0.6
    assert season_affinity("winter", "summer") == season_affinity("spring", "autumn") == 0
    assert season_affinity("winter", ALL_SEASON) == 1


def test_one_pattern_is_enough() -> None:
    calm = [pattern_calm(["solid"] * (4 - number) + ["striped"] * number) for number in range(5)]
    assert calm == sorted(calm, reverse=True)
    assert (calm[1], calm[2] < 1) == (1, True)


def test_one_stranger_spoils_an_outfit(clean: list[Outfit]) -> None:
    outfit = next(outfit for outfit in clean if {item.style for item in outfit.products} == {"elegant"})
    stranger = replace(outfit.products[-1], style="sporty")
    assert rule_scores(outfit.products)["style"] == 1
    assert rule_scores([*outfit.products[:-1], stranger])["style"] < 0.5
