"""Outfits of the sample shop: sets of products that follow the rules, with a few mistakes as real closets have them."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aura.taxonomy import CATEGORIES, Category
from dataprep.synthetic.rules import compatibility, season_affinity, style_affinity
from dataprep.synthetic.shop import Product
from dataprep.synthetic.wardrobe import SEASONS, STYLES

GOOD_ENOUGH = 0.92
"""A candidate that brings the outfit so far to this compatibility is taken without looking further."""
_TRIES = 24
_MAX_ITEMS = 8
_MIN_ITEMS = 4

_STYLE_WEIGHT = (0.28, 0.21, 0.16, 0.18, 0.17)
_DRESS_CHANCE = {"casual": 0.22, "smart": 0.22, "sporty": 0.0, "elegant": 0.5, "bohemian": 0.4}
_COAT_CHANCE = {"spring": 0.45, "summer": 0.12, "autumn": 0.7, "winter": 0.9}
_SCARF_CHANCE = {"spring": 0.18, "summer": 0.06, "autumn": 0.35, "winter": 0.5}
_SUNGLASSES_CHANCE = {"spring": 0.35, "summer": 0.5, "autumn": 0.12, "winter": 0.08}
_JEWELLERY_CHANCE = {"casual": 0.22, "smart": 0.3, "sporty": 0.0, "elegant": 0.6, "bohemian": 0.5}
_SPARE = (Category.BAGS, Category.OUTERWEAR, Category.HATS, Category.SUNGLASSES, Category.ACCESSORIES)
_BARE_LEGS = frozenset({"dress", "skirt", "shorts"})


@dataclass(frozen=True)
class Outfit:
    """Products that are worn together; `noisy` when a product was swapped for a random one."""

    outfit_id: str
    products: tuple[Product, ...]
    noisy: bool


class Shelf:
    """The shop by category. Products are taken by popularity; what was just taken often waits until the rest catches up."""

    def __init__(self, shop: Sequence[Product]) -> None:
        self._of: Mapping[Category, list[Product]] = {
            category: [product for product in shop if product.category is category] for category in CATEGORIES
        }
        self._taken: dict[str, int] = dict.fromkeys((product.item_id for product in shop), 0)

    def candidates(self, category: Category, style: str, season: str, rng: random.Random) -> list[Product]:
        """Products for that style and season in random order, wanted ones first."""
        ranked = []
        for product in self._of[category]:
            fit = style_affinity(product.style, style) ** 2 * season_affinity(product.season, season)
            if rng.random() < fit:
                weight = product.popularity / (1.0 + self._taken[product.item_id] / product.popularity) ** 2
                # Weighted sampling without replacement: the smallest exponential variate comes first.
                ranked.append((rng.expovariate(weight), product))
        return [product for _, product in sorted(ranked, key=lambda pair: pair[0])]

    def any_of(self, category: Category, rng: random.Random) -> Product:
        return rng.choice(self._of[category])

    def take(self, product: Product) -> None:
        self._taken[product.item_id] += 1


def build_outfits(shop: Sequence[Product], count: int, seed: int, noise: float) -> list[Outfit]:
    """`count` outfits; in the fraction `noise` of them a product is replaced at random within its category.

    A few less when the shop is so small that nothing in it goes with a chosen product.
    """
    shelf = Shelf(shop)
    keys = [f"{seed}/outfit/{n}" for n in range(count)]
    outfits = [_build_outfit(shelf, random.Random(key), key, noise) for key in keys]
    return [outfit for outfit in outfits if len(outfit.products) > 1]


def _build_outfit(shelf: Shelf, rng: random.Random, key: str, noise: float) -> Outfit:
    style = rng.choices(STYLES, _STYLE_WEIGHT)[0]
    season = rng.choice(SEASONS)
    chosen: list[Product] = []
    slots = _slots(style, season, rng)
    spare = [category for category in _SPARE if category not in slots]
    for number, category in enumerate((*slots, *spare)):
        if len(chosen) >= (_MAX_ITEMS if number < len(slots) else _MIN_ITEMS):
            break
        product = _fitting(shelf.candidates(category, style, season, rng), chosen)
        chosen += [product] if product is not None else []
    for product in chosen:
        shelf.take(product)
    noisy = rng.random() < noise
    if noisy:
        swapped = rng.randrange(len(chosen))
        chosen[swapped] = shelf.any_of(chosen[swapped].category, rng)
    return Outfit(hashlib.sha256(key.encode()).hexdigest()[:12], tuple(chosen), noisy)


def _slots(style: str, season: str, rng: random.Random) -> list[Category]:
    """Which categories this outfit wants, the most important first."""
    slots = [Category.ALL_BODY] if rng.random() < _DRESS_CHANCE[style] else [Category.TOPS, Category.BOTTOMS]
    slots.append(Category.SHOES)
    wishes = (
        (Category.OUTERWEAR, _COAT_CHANCE[season]),
        (Category.BAGS, 0.6),
        (Category.HATS, 0.3),
        (Category.SUNGLASSES, _SUNGLASSES_CHANCE[season]),
        (Category.SCARVES, _SCARF_CHANCE[season]),
        (Category.JEWELLERY, _JEWELLERY_CHANCE[style]),
        (Category.ACCESSORIES, 0.36),
        (Category.LEGWEAR, 0.34),
    )
    return slots + [category for category, chance in wishes if rng.random() < chance]


def _fitting(candidates: Sequence[Product], chosen: Sequence[Product]) -> Product | None:
    """The first candidate that goes well with the chosen ones, else the best of them; None if none may be worn."""
    best: tuple[float, Product] | None = None
    for product in [item for item in candidates if wearable(item, chosen)][:_TRIES]:
        score = compatibility([*chosen, product])
        if score >= GOOD_ENOUGH:
            return product
        if best is None or score > best[0]:
            best = (score, product)
    return best[1] if best else None


def wearable(product: Product, chosen: Sequence[Product]) -> bool:
    """Whether the product makes sense on a body that wears the chosen ones."""
    garments = {other.garment for other in chosen}
    if product.garment == "tights":
        return bool(garments & _BARE_LEGS) and "sandals" not in garments
    if product.garment == "socks":
        return bool(garments & (_BARE_LEGS | {"sneakers"})) and not garments & {"sandals", "heels"}
    if product.garment == "tie":
        return "shirt" in garments
    if product.garment == "belt":
        return bool(garments & {"trousers", "jeans", "shorts", "skirt"})
    if product.garment == "necklace":
        return not garments & {"hoodie", "scarf", "bandana"}
    return True
