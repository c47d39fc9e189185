"""Products of the sample shop: what each is, what it is called, how it looks."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from aura.taxonomy import CATEGORIES, Category
from dataprep.synthetic.look import Look
from dataprep.synthetic.palette import RGB, chromatic_names, colour, darker, hue_distance_deg, lch, lighter
from dataprep.synthetic.patterns import Paint
from dataprep.synthetic.wardrobe import CATEGORY_SHARE, LINES, Line, seasons_of

_STYLE_WEIGHT = {"casual": 0.28, "smart": 0.21, "sporty": 0.16, "elegant": 0.18, "bohemian": 0.17}

_COLOURS_OF_STYLE = {
    "casual": "white navy grey black indigo beige brown blue sky-blue red green mustard olive coral yellow pink teal mint",
    "smart": "navy charcoal white grey black camel beige ivory burgundy sky-blue emerald lavender teal rust",
    "sporty": "black grey white navy blue orange turquoise red yellow fuchsia green purple mint coral",
    "elegant": "black ivory navy burgundy emerald purple pink red fuchsia lavender gold silver sky-blue teal",
    "bohemian": "ivory beige brown camel rust mustard olive teal turquoise coral burgundy purple sage orange",
}
_DENIM_COLOURS = ("indigo", "indigo", "light-wash", "black", "navy", "white")
_LEATHER_COLOURS = ("black", "brown", "camel", "beige", "burgundy", "navy", "white")
_METAL_COLOURS = {"gold-plated": "gold", "sterling-silver": "silver", "brass": "gold", "metal": "gold"}
_NEUTRAL_SHARE = 0.5

_PATTERN_WORDS = {"dotted": "polka-dot", "leopard": "leopard-print"}
_TWO_COLOURED = frozenset({"striped", "checked", "gingham", "dotted", "floral", "zigzag", "colour-block", "pinstriped"})
"""Patterns whose second colour shows at once."""
_SET_WITH_STONES = frozenset({"pendant", "beaded", "layered", "drop", "tassel"})
"""Cuts of jewellery that show the second colour."""
_GARMENT_WORDS = {
    "tank-top": "tank top",
    "bucket-hat": "bucket hat",
    "trench": "trench coat",
    "crossbody": "crossbody bag",
    "tote": "tote bag",
    "clutch": "clutch bag",
    "polo": "polo shirt",
}
_PLAIN_CUTS = frozenset({"regular", "classic", "full", "baseball"})


@dataclass(frozen=True)
class Product:
    """One article of the shop; `popularity` is its weight when outfits are put together."""

    item_id: str
    category: Category
    garment: str
    cut: str
    colour: str
    second: str
    pattern: str
    fabric: str
    style: str
    season: str
    occasion: str
    title: str
    popularity: float
    seed: int

    @property
    def attributes(self) -> dict[str, str]:
        names = ("garment", "cut", "colour", "pattern", "fabric", "style", "season", "occasion")
        return {name: str(getattr(self, name)) for name in names}

    def look(self) -> Look:
        """How it is drawn."""
        rng = random.Random(self.seed)
        base, second = colour(self.colour).rgb, colour(self.second).rgb
        jitter = tuple(rng.uniform(-1, 1) for _ in range(6))
        paint = Paint(base, second, self.pattern, self.fabric, self.seed)
        return Look(self.cut, paint, _trim(self, base, second), self.style, jitter)


def _trim(product: Product, base: RGB, second: RGB) -> RGB:
    """Colour of buttons, bands, soles and gems."""
    if product.category is Category.JEWELLERY or product.garment == "watch" or product.style in ("sporty", "bohemian"):
        return second
    if product.pattern != "solid":
        return second
    if product.style == "elegant" and product.category in (Category.BAGS, Category.OUTERWEAR, Category.ALL_BODY):
        return colour("gold").rgb
    return lighter(base, 0.3) if lch(base)[0] < 35 else darker(base, 0.3)


def build_shop(count: int, seed: int) -> list[Product]:
    """`count` products with distinct titles, every category and style among them."""
    shop: list[Product] = []
    titles: set[str] = set()
    for category, amount in _amounts(count).items():
        for number in range(amount):
            for attempt in range(200):
                rng = random.Random(f"{seed}/product/{category}/{number}/{attempt}")
                product = _draw_product(category, rng, f"{seed}/{category}/{number}")
                if product.title not in titles:
                    break
            titles.add(product.title)
            shop.append(product)
    return shop


def _amounts(count: int) -> dict[Category, int]:
    amounts = {category: max(2, int(count * CATEGORY_SHARE[category])) for category in CATEGORIES}
    amounts[Category.TOPS] += max(0, count - sum(amounts.values()))
    return amounts


def _draw_product(category: Category, rng: random.Random, key: str) -> Product:
    line = _draw_line(LINES[category], rng)
    cut, fabric, pattern = rng.choice(line.cuts), rng.choice(line.fabrics), rng.choice(line.patterns)
    if cut == "denim":
        fabric = "denim"
    season = rng.choice(seasons_of(line.garment, cut, fabric))
    main = _draw_colour(line, fabric, season, rng)
    second = _second_colour(main, rng)
    return Product(
        item_id=hashlib.sha256(key.encode()).hexdigest()[:10],
        category=category,
        garment=line.garment,
        cut=cut,
        colour=main,
        second=second,
        pattern=pattern,
        fabric=fabric,
        style=line.style,
        season=season,
        occasion=rng.choice(line.occasions),
        title=_title(line.garment, cut, (main, second), pattern, fabric),
        # A mild long tail: the best seller is bought about twice as often as the median product.
        popularity=rng.lognormvariate(0, 0.35),
        seed=rng.randrange(1 << 30),
    )


def _draw_line(lines: Sequence[Line], rng: random.Random) -> Line:
    styles = sorted({line.style for line in lines})
    style = rng.choices(styles, [_STYLE_WEIGHT[name] for name in styles])[0]
    return rng.choice([line for line in lines if line.style == style])


def _draw_colour(line: Line, fabric: str, season: str, rng: random.Random) -> str:
    if fabric in _METAL_COLOURS:
        return _METAL_COLOURS[fabric]
    if fabric == "denim":
        return rng.choice(_DENIM_COLOURS)
    if fabric in ("straw", "raffia", "wood"):
        return rng.choice(("beige", "camel", "brown"))
    if fabric == "acetate":
        return rng.choice(("black", "brown", "burgundy", "white", "red"))
    if fabric in ("leather", "suede", "nubuck") and rng.random() < 0.75:
        return rng.choice(_LEATHER_COLOURS)
    names = [name.replace("-", " ") for name in _COLOURS_OF_STYLE[line.style].split()]
    names = [name for name in names if name not in ("gold", "silver") or fabric in ("satin", "sequin")]
    wants_neutral = rng.random() < _NEUTRAL_SHARE
    names = [name for name in names if colour(name).neutral == wants_neutral]
    # Summer shops are light, winter shops dark.
    target = {"summer": 78.0, "spring": 70.0, "autumn": 45.0, "winter": 35.0}.get(season)
    weights = [
        1.0 if target is None else 0.15 + 2.718 ** (-(((colour(n).lightness - target) / 28) ** 2)) for n in names
    ]
    return rng.choices(names, weights)[0]


def _second_colour(main: str, rng: random.Random) -> str:
    """Colour of the pattern: mostly a contrasting neutral, else a neighbour on the colour wheel."""
    ground = colour(main)
    light = ground.lightness > 55
    neutrals = ("navy", "black", "brown", "charcoal") if light else ("white", "ivory", "beige", "grey")
    if rng.random() < 0.6:
        return rng.choice([name for name in neutrals if name != main])
    apart = [name for name in chromatic_names() if abs(colour(name).lightness - ground.lightness) > 18]
    near = [name for name in apart if hue_distance_deg(colour(name).hue_deg, ground.hue_deg) < 60]
    return rng.choice(apart if ground.neutral or not near else near)


def _title(garment: str, cut: str, colours: tuple[str, str], pattern: str, fabric: str) -> str:
    """What a shopper sees: colours, pattern, cloth, cut, garment. Nothing says the style, which decides what goes together."""
    main, second = colours
    # "Gold gold-plated hoop earrings" says it twice.
    title_words = [] if main in fabric.replace("-", " ").split() else [main]
    if pattern in _TWO_COLOURED:
        title_words += ["and", second]
    if pattern != "solid":
        title_words.append(_PATTERN_WORDS.get(pattern, pattern))
    title_words.append(fabric)
    if cut not in _PLAIN_CUTS and cut != fabric and cut not in garment:
        title_words.append(cut)
    title_words.append(_GARMENT_WORDS.get(garment, garment))
    if cut in _SET_WITH_STONES and garment in ("necklace", "earrings", "bracelet"):
        title_words += ["with", second, "stones"]
    title = (
        " ".join(title_words)
        .replace("shirt-dress dress", "shirt-dress")
        .replace("sweater-dress dress", "sweater-dress")
    )
    return title[0].upper() + title[1:]
