"""Data sets in COCO format that are known by the names of their categories, and what each name is to Aura.

- Fashionpedia (Jia and others, ECCV 2020, arXiv 2004.12276): 27 garments and 19 parts and decorations of garments.
- DeepFashion2 (Ge and others, CVPR 2019, arXiv 1901.07973): 13 garments, as its `deepfashion2_to_coco.py` names them and as
  its own annotations do.
- ModaNet (Zheng and others, ACM Multimedia 2018, arXiv 1807.01394): 13 garments.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from aura.taxonomy import Category


@dataclass(frozen=True)
class Meaning:
    """What a category of a data set is to Aura.

    Attributes:
        label: what a shop calls such a garment.
        category: None when it is no garment, or a part of one.
    """

    label: str
    category: Category | None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A data set whose categories are known.

    Attributes:
        meanings: by `plain_name` of the category.
    """

    name: str
    licence: str
    origin: str
    meanings: Mapping[str, Meaning]


def plain_name(name: str) -> str:
    """A category's name in lower case, with single spaces for underscores and hyphens."""
    return " ".join(name.lower().replace("_", " ").replace("-", " ").split())


def _meanings(table: Mapping[Category, Mapping[str, str]], parts: str = "") -> dict[str, Meaning]:
    """Meanings from labels by name by category, and a list of parts of garments."""
    known = {
        plain_name(name): Meaning(label, category)
        for category, labels in table.items()
        for name, label in labels.items()
    }
    return known | {name: Meaning(name, None) for name in parts.split()}


_FASHIONPEDIA = _meanings(
    {
        Category.TOPS: {
            "shirt, blouse": "shirt", "top, t-shirt, sweatshirt": "top", "sweater": "sweater", "cardigan": "cardigan",
            "vest": "vest",
        },
        Category.BOTTOMS: {"pants": "pants", "shorts": "shorts", "skirt": "skirt"},
        Category.OUTERWEAR: {"jacket": "jacket", "coat": "coat", "cape": "cape"},
        Category.ALL_BODY: {"dress": "dress", "jumpsuit": "jumpsuit"},
        Category.SHOES: {"shoe": "shoes"},
        Category.BAGS: {"bag, wallet": "bag"},
        Category.HATS: {"hat": "hat"},
        Category.SUNGLASSES: {"glasses": "glasses"},
        Category.SCARVES: {"scarf": "scarf"},
        Category.ACCESSORIES: {
            "headband, head covering, hair accessory": "headband", "tie": "tie", "glove": "gloves", "watch": "watch",
            "belt": "belt", "umbrella": "umbrella",
        },
        Category.LEGWEAR: {"leg warmer": "leg warmers", "tights, stockings": "tights", "sock": "socks"},
    },
    parts="hood collar lapel epaulette sleeve pocket neckline buckle zipper applique bead bow flower fringe ribbon rivet "
    "ruffle sequin tassel",
)  # fmt: skip

_DEEPFASHION2 = _meanings(
    {
        Category.TOPS: {
            "short_sleeved_shirt": "short-sleeved top", "short sleeve top": "short-sleeved top",
            "long_sleeved_shirt": "long-sleeved top", "long sleeve top": "long-sleeved top",
            "vest": "vest", "sling": "strappy top",
        },
        Category.OUTERWEAR: {
            "short_sleeved_outwear": "short-sleeved jacket", "short sleeve outwear": "short-sleeved jacket",
            "long_sleeved_outwear": "jacket", "long sleeve outwear": "jacket",
        },
        Category.BOTTOMS: {"shorts": "shorts", "trousers": "trousers", "skirt": "skirt"},
        Category.ALL_BODY: {
            "short_sleeved_dress": "short-sleeved dress", "short sleeve dress": "short-sleeved dress",
            "long_sleeved_dress": "long-sleeved dress", "long sleeve dress": "long-sleeved dress",
            "vest_dress": "sleeveless dress", "sling_dress": "strappy dress",
        },
    }
)  # fmt: skip

_MODANET = _meanings(
    {
        Category.BAGS: {"bag": "bag"},
        Category.ACCESSORIES: {"belt": "belt"},
        Category.SHOES: {"boots": "boots", "footwear": "shoes"},
        # Coats, jackets, suits and, in few photos, cardigans and jumpsuits.
        Category.OUTERWEAR: {"outer": "outerwear"},
        Category.ALL_BODY: {"dress": "dress"},
        Category.SUNGLASSES: {"sunglasses": "sunglasses"},
        Category.BOTTOMS: {"pants": "pants", "shorts": "shorts", "skirt": "skirt"},
        Category.TOPS: {"top": "top"},
        Category.HATS: {"headwear": "hat"},
        Category.SCARVES: {"scarf & tie": "scarf", "scarf/tie": "scarf", "scarf and tie": "scarf"},
    }
)

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        name="Fashionpedia", licence="CC BY 4.0 (annotations)", origin="fashionpedia.github.io", meanings=_FASHIONPEDIA
    ),
    Layout(
        name="DeepFashion2", licence="see its page (access by a form)", origin="github.com/switchablenorms/DeepFashion2",
        meanings=_DEEPFASHION2,
    ),
    Layout(
        name="ModaNet", licence="CC BY-NC 4.0 (annotations)", origin="github.com/eBay/modanet", meanings=_MODANET
    ),
)  # fmt: skip


def layout_of(names: Collection[str]) -> Layout | None:
    """The first data set that has a category for each name; None when none has."""
    plain = {plain_name(name) for name in names}
    return next((layout for layout in LAYOUTS if plain and plain <= layout.meanings.keys()), None)
