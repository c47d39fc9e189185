"""One table from the fine labels of every known data set to Aura's twelve semantic categories.

The first eleven are the semantic categories of Polyvore Outfits (arXiv 1803.09196, section 3); `legwear` is added because
street photos show tights and socks that none of the eleven describes.
"""

from __future__ import annotations

from enum import StrEnum

from aura.errors import DataError


class Category(StrEnum):
    """A semantic category. The declaration order is the class id of the detector."""

    TOPS = "tops"
    BOTTOMS = "bottoms"
    OUTERWEAR = "outerwear"
    ALL_BODY = "all-body"
    SHOES = "shoes"
    BAGS = "bags"
    HATS = "hats"
    SUNGLASSES = "sunglasses"
    SCARVES = "scarves"
    JEWELLERY = "jewellery"
    ACCESSORIES = "accessories"
    LEGWEAR = "legwear"

    @property
    def garment(self) -> str:
        """What one garment of it is called, for example `top`; `shoes` are a plural however few."""
        return _GARMENT.get(self, self.value)


_GARMENT: dict[Category, str] = {
    Category.TOPS: "top",
    Category.ALL_BODY: "one-piece",
    Category.BAGS: "bag",
    Category.HATS: "hat",
    Category.SCARVES: "scarf",
    Category.ACCESSORIES: "accessory",
}
"""Where the category's own name is a plural or no noun."""

CATEGORIES: tuple[Category, ...] = tuple(Category)

_FINE_LABELS: dict[Category, str] = {
    Category.TOPS: "blouse bodysuit bra cardigan hoodie intimate jumper shirt sweater sweatshirt t-shirt top vest "
    "polo longsleeve undershirt body tee tank-top pullover tunic camisole",
    Category.BOTTOMS: "jeans leggings pants panties shorts skirt trousers chinos culottes joggers",
    Category.OUTERWEAR: "blazer cape coat jacket outwear outerwear parka trench anorak gilet poncho",
    Category.ALL_BODY: "dress romper suit swimwear jumpsuit overalls dungarees gown",
    Category.SHOES: "boots clogs flats heels loafers pumps sandals shoes sneakers wedges mules espadrilles oxfords",
    Category.BAGS: "bag purse wallet backpack tote clutch satchel crossbody",
    Category.HATS: "hat cap beanie fedora beret bucket-hat",
    Category.SUNGLASSES: "glasses sunglasses",
    Category.SCARVES: "scarf shawl bandana",
    Category.JEWELLERY: "bracelet earrings necklace ring brooch jewellery jewelry",
    Category.ACCESSORIES: "accessories belt gloves tie watch umbrella bow-tie",
    Category.LEGWEAR: "socks stockings tights legwear",
}

_CATEGORY_OF: dict[str, Category] = {
    label: category for category, labels in _FINE_LABELS.items() for label in labels.split()
} | {category.value: category for category in Category}

IGNORED_LABELS: frozenset[str] = frozenset({"null", "skin", "hair", "background", "not sure", "other", "skip"})
"""Labels that data sets carry but that name no garment."""


def category_of(label: str) -> Category:
    """Semantic category of a fine label, in any letter case.

    Raises:
        DataError: the label is not in the table. Callers skip `IGNORED_LABELS` first.
    """
    category = _CATEGORY_OF.get(label.strip().lower())
    if category is None:
        known = ", ".join(sorted(_CATEGORY_OF))
        raise DataError(
            f"unknown garment label {label!r}; known labels: {known}",
            hint="correct the label in the data, or add it to aura/taxonomy.py with its category",
        )
    return category


def fine_labels() -> dict[Category, tuple[str, ...]]:
    """The fine labels that `category_of` knows, by category."""
    return {category: tuple(labels.split()) for category, labels in _FINE_LABELS.items()}


def category_id(category: Category) -> int:
    """Class id of a category, the same in every data set and model."""
    return CATEGORIES.index(category)
