"""What the sample shop can make: which garments exist in which style, with their cuts, fabrics, patterns and occasions.

One `Line` is one row of a buyer's plan. Style, season and occasion follow from it, so that a reader of the title or of the
picture can tell them: linen means summer, a pinstripe means the office.
"""

from __future__ import annotations

from dataclasses import dataclass

from aura.taxonomy import Category

STYLES = ("casual", "smart", "sporty", "elegant", "bohemian")
SEASONS = ("spring", "summer", "autumn", "winter")
ALL_SEASON = "all-season"


@dataclass(frozen=True)
class Line:
    """Choices for one garment in one style; a word that is listed twice is chosen twice as often."""

    garment: str
    style: str
    cuts: tuple[str, ...]
    fabrics: tuple[str, ...]
    patterns: tuple[str, ...]
    occasions: tuple[str, ...]


def _line(garment: str, style: str, cuts: str, fabrics: str, patterns: str, occasions: str) -> Line:
    return Line(
        garment,
        style,
        tuple(cuts.split()),
        tuple(fabric.strip() for fabric in fabrics.split(",")),
        tuple(patterns.split()),
        tuple(occasions.split()),
    )


# fmt: off
LINES: dict[Category, tuple[Line, ...]] = {
    Category.TOPS: (
        _line("t-shirt", "casual", "regular boxy v-neck long-sleeve",
              "cotton, cotton, linen, jersey", "solid solid striped striped", "weekend travel"),
        _line("t-shirt", "sporty", "regular long-sleeve",
              "mesh, technical jersey", "solid solid colour-block", "gym hiking"),
        _line("tank-top", "sporty", "regular", "mesh, technical jersey", "solid solid striped", "gym"),
        _line("tank-top", "casual", "regular strappy",
              "cotton, ribbed cotton, linen", "solid solid striped", "weekend holiday"),
        _line("polo", "smart", "regular", "cotton, merino", "solid solid striped", "office dinner"),
        _line("polo", "sporty", "regular", "technical jersey", "solid colour-block striped", "gym"),
        _line("shirt", "smart", "regular",
              "poplin, oxford cotton, twill", "solid solid pinstriped pinstriped gingham", "office"),
        _line("shirt", "casual", "oversized rolled-sleeve short-sleeve",
              "linen, flannel, chambray, cotton", "solid checked checked gingham", "weekend travel"),
        _line("blouse", "smart", "bow v-neck", "crepe, poplin", "solid solid dotted", "office dinner"),
        _line("blouse", "elegant", "bow ruffled v-neck", "silk, satin, chiffon", "solid solid dotted", "party wedding"),
        _line("blouse", "bohemian", "off-shoulder puff-sleeve ruffled",
              "viscose, lace, cotton voile", "floral floral solid zigzag", "festival holiday"),
        _line("sweater", "casual", "crew chunky",
              "wool, cotton knit, mohair", "solid solid striped striped", "weekend travel"),
        _line("sweater", "smart", "v-neck turtleneck", "merino, cashmere", "solid", "office dinner"),
        _line("sweater", "bohemian", "crew chunky", "mohair, cotton knit", "zigzag solid", "festival holiday"),
        _line("hoodie", "sporty", "zipped pullover",
              "fleece, technical jersey", "solid solid colour-block", "gym hiking"),
        _line("hoodie", "casual", "pullover zipped", "fleece, jersey", "solid", "weekend travel"),
    ),
    Category.BOTTOMS: (
        _line("jeans", "casual", "straight skinny ripped wide-leg", "denim", "solid", "weekend travel"),
        _line("jeans", "bohemian", "flared", "denim", "solid", "festival holiday"),
        _line("trousers", "smart", "straight tapered cropped",
              "wool, twill, crepe", "solid solid pinstriped checked", "office dinner"),
        _line("trousers", "elegant", "wide-leg", "satin, crepe, velvet", "solid", "party wedding"),
        _line("trousers", "casual", "tapered cropped", "corduroy, cotton, linen", "solid", "weekend travel"),
        _line("trousers", "bohemian", "wide-leg", "viscose, linen", "floral solid zigzag", "festival holiday"),
        _line("leggings", "sporty", "full cropped", "technical jersey", "solid", "gym"),
        _line("joggers", "sporty", "cuffed striped-side", "fleece, technical jersey", "solid", "gym hiking"),
        _line("shorts", "sporty", "running", "mesh, nylon", "solid", "gym hiking"),
        _line("shorts", "casual", "denim bermuda", "denim, cotton, linen", "solid", "weekend holiday"),
        _line("skirt", "casual", "mini a-line", "denim, cotton, corduroy", "solid solid gingham dotted", "weekend"),
        _line("skirt", "smart", "pencil pleated", "wool, crepe, twill", "solid herringbone checked", "office"),
        _line("skirt", "elegant", "pleated a-line", "satin, velvet, lace", "solid", "party wedding"),
        _line("skirt", "bohemian", "maxi maxi a-line",
              "viscose, cotton voile, suede", "floral floral zigzag solid", "festival holiday"),
    ),
    Category.OUTERWEAR: (
        _line("coat", "smart", "double-breasted single-breasted",
              "wool, cashmere", "solid solid herringbone", "office"),
        _line("coat", "elegant", "wrap", "cashmere, wool, velvet", "solid", "party wedding"),
        _line("trench", "smart", "belted", "gabardine", "solid", "office dinner"),
        _line("blazer", "smart", "single-breasted double-breasted",
              "wool, tweed, linen, crepe", "solid solid pinstriped checked herringbone", "office dinner"),
        _line("blazer", "elegant", "relaxed double-breasted", "velvet, satin, sequin", "solid", "party wedding"),
        _line("jacket", "casual", "denim trucker", "denim, corduroy, cotton", "solid", "weekend travel"),
        _line("jacket", "casual", "biker", "leather", "solid", "weekend dinner"),
        _line("jacket", "sporty", "bomber windbreaker quilted", "nylon, softshell", "solid colour-block", "gym hiking"),
        _line("jacket", "bohemian", "trucker", "suede, cotton", "solid zigzag floral", "festival holiday"),
        _line("parka", "casual", "fur-trimmed hooded", "cotton, nylon", "solid", "travel weekend"),
        _line("parka", "sporty", "padded", "down, softshell", "solid", "hiking"),
    ),
    Category.ALL_BODY: (
        _line("dress", "casual", "a-line shirt-dress",
              "cotton, linen, chambray", "solid striped gingham dotted", "weekend holiday"),
        _line("dress", "smart", "fitted wrap shirt-dress",
              "crepe, wool, poplin", "solid solid dotted pinstriped", "office dinner"),
        _line("dress", "elegant", "slip evening evening", "silk, satin, velvet, sequin", "solid", "party wedding"),
        _line("dress", "bohemian", "maxi maxi wrap",
              "viscose, cotton voile, lace", "floral floral zigzag solid", "festival holiday"),
        _line("dress", "casual", "sweater-dress", "wool, merino", "solid striped", "weekend"),
        _line("jumpsuit", "elegant", "wide-leg strappy", "satin, crepe", "solid", "party wedding"),
        _line("jumpsuit", "casual", "utility", "cotton, linen", "solid", "weekend travel"),
    ),
    Category.SHOES: (
        _line("sneakers", "casual", "low-top high-top", "canvas, leather", "solid", "weekend travel"),
        _line("sneakers", "sporty", "running", "mesh, nylon", "solid", "gym"),
        _line("boots", "sporty", "hiking", "nubuck, leather", "solid", "hiking"),
        _line("boots", "smart", "chelsea", "leather, suede", "solid", "office dinner"),
        _line("boots", "casual", "ankle chelsea", "leather, suede", "solid", "weekend"),
        _line("boots", "bohemian", "ankle knee-high", "suede", "solid", "festival"),
        _line("boots", "elegant", "knee-high", "leather, velvet", "solid", "party"),
        _line("heels", "elegant", "pump ankle-strap", "satin, patent leather, velvet", "solid", "party wedding"),
        _line("heels", "smart", "block slingback", "leather, suede", "solid", "office dinner"),
        _line("loafers", "smart", "penny tassel horsebit", "leather, patent leather", "solid", "office"),
        _line("loafers", "casual", "penny", "suede", "solid", "weekend travel"),
        _line("sandals", "bohemian", "gladiator espadrille", "leather, raffia", "solid", "festival holiday"),
        _line("sandals", "casual", "flat platform", "leather, canvas", "solid", "holiday weekend"),
    ),
    Category.BAGS: (
        _line("tote", "casual", "shopper classic", "canvas, cotton", "solid striped", "weekend travel"),
        _line("tote", "smart", "classic", "leather", "solid", "office"),
        _line("tote", "bohemian", "bucket classic", "raffia, suede, straw", "solid zigzag", "festival holiday"),
        _line("backpack", "sporty", "rolltop classic", "nylon", "solid colour-block", "hiking gym"),
        _line("backpack", "casual", "classic", "canvas", "solid checked", "travel weekend"),
        _line("clutch", "elegant", "envelope frame", "satin, velvet, sequin, patent leather", "solid", "party wedding"),
        _line("satchel", "smart", "classic doctor", "leather", "solid", "office"),
        _line("crossbody", "casual", "saddle", "leather, canvas", "solid", "weekend travel"),
        _line("crossbody", "elegant", "quilted", "patent leather, satin", "solid", "party dinner"),
        _line("crossbody", "bohemian", "saddle", "suede", "solid", "festival"),
    ),
    Category.HATS: (
        _line("cap", "sporty", "baseball", "mesh, nylon", "solid", "gym hiking"),
        _line("cap", "casual", "snapback baseball", "cotton, corduroy", "solid checked", "weekend travel"),
        _line("beanie", "casual", "ribbed slouchy pompom", "wool, mohair", "solid striped", "weekend travel"),
        _line("beanie", "sporty", "ribbed", "merino, fleece", "solid striped", "hiking"),
        _line("fedora", "smart", "classic", "felt", "solid", "dinner office"),
        _line("fedora", "bohemian", "wide-brim", "straw, raffia, felt", "solid", "festival holiday"),
        _line("bucket-hat", "casual", "classic", "cotton, denim", "solid checked dotted", "holiday weekend"),
        _line("beret", "elegant", "classic", "felt, wool", "solid", "dinner party"),
    ),
    Category.SUNGLASSES: (
        _line("sunglasses", "casual", "square round", "acetate", "solid", "weekend holiday"),
        _line("sunglasses", "elegant", "cat-eye", "acetate", "solid", "party wedding"),
        _line("sunglasses", "smart", "aviator square", "metal", "solid", "office dinner"),
        _line("sunglasses", "bohemian", "round", "metal", "solid", "festival holiday"),
        _line("sunglasses", "sporty", "square", "grilamid", "solid", "hiking gym"),
    ),
    Category.SCARVES: (
        _line("scarf", "casual", "long loop",
              "wool, mohair, flannel", "solid checked striped checked", "weekend travel"),
        _line("scarf", "smart", "draped long", "cashmere, merino", "solid herringbone checked", "office dinner"),
        _line("scarf", "bohemian", "draped loop", "cotton voile, viscose", "floral zigzag", "festival holiday"),
        _line("bandana", "elegant", "classic", "silk, satin", "solid dotted floral", "dinner wedding"),
        _line("bandana", "casual", "classic", "cotton", "dotted floral checked", "weekend holiday"),
    ),
    Category.JEWELLERY: (
        _line("necklace", "elegant", "pearl pendant", "gold-plated, sterling-silver", "solid", "party wedding"),
        _line("necklace", "bohemian", "beaded layered", "brass, wood", "solid", "festival holiday"),
        _line("necklace", "smart", "pendant", "sterling-silver, gold-plated", "solid", "office dinner"),
        _line("earrings", "elegant", "drop", "gold-plated, sterling-silver", "solid", "party wedding"),
        _line("earrings", "casual", "hoop", "sterling-silver, gold-plated", "solid", "weekend"),
        _line("earrings", "bohemian", "tassel", "brass", "solid", "festival holiday"),
        _line("bracelet", "casual", "beaded", "wood", "solid", "weekend holiday"),
        _line("bracelet", "elegant", "bangle chain", "gold-plated, sterling-silver", "solid", "party wedding"),
    ),
    Category.ACCESSORIES: (
        _line("belt", "casual", "classic", "leather, canvas", "solid", "weekend travel"),
        _line("belt", "smart", "classic", "leather", "solid", "office"),
        _line("watch", "smart", "round square", "leather", "solid", "office dinner"),
        _line("watch", "sporty", "square", "silicone", "solid", "gym hiking"),
        _line("gloves", "elegant", "classic", "satin, velvet", "solid", "party wedding"),
        _line("gloves", "casual", "classic", "wool, cashmere", "solid striped", "weekend travel"),
        _line("gloves", "sporty", "classic", "fleece, softshell", "solid", "hiking"),
        _line("tie", "smart", "long", "silk, wool", "solid striped dotted", "office"),
        _line("tie", "elegant", "bow", "satin, velvet", "solid dotted", "wedding party"),
        _line("belt", "bohemian", "classic", "suede", "solid", "festival"),
    ),
    Category.LEGWEAR: (
        _line("tights", "smart", "opaque", "opaque knit", "solid", "office dinner"),
        _line("tights", "elegant", "seamed", "sheer nylon", "solid dotted", "party wedding"),
        _line("tights", "casual", "opaque", "wool, opaque knit", "solid striped", "weekend"),
        _line("socks", "casual", "crew ankle", "cotton, wool", "striped dotted solid checked", "weekend travel"),
        _line("socks", "sporty", "ankle crew", "technical jersey, merino", "solid striped", "gym hiking"),
        _line("socks", "bohemian", "knee-high", "cotton knit, wool", "zigzag striped", "festival"),
    ),
}
# fmt: on

CATEGORY_SHARE: dict[Category, float] = {
    Category.TOPS: 0.19,
    Category.BOTTOMS: 0.15,
    Category.OUTERWEAR: 0.11,
    Category.ALL_BODY: 0.09,
    Category.SHOES: 0.14,
    Category.BAGS: 0.09,
    Category.HATS: 0.045,
    Category.SUNGLASSES: 0.03,
    Category.SCARVES: 0.04,
    Category.JEWELLERY: 0.045,
    Category.ACCESSORIES: 0.04,
    Category.LEGWEAR: 0.03,
}
"""Part of the shop's products in each category; sums to 1."""

_SEASONS_OF_FABRIC: dict[str, str] = {
    "cotton": "all-season spring summer",
    "ribbed cotton": "spring autumn",
    "poplin": "all-season spring",
    "oxford cotton": "all-season",
    "cotton voile": "summer spring",
    "cotton knit": "spring autumn",
    "linen": "summer",
    "chambray": "spring summer",
    "mesh": "summer",
    "silk": "spring summer",
    "chiffon": "summer spring",
    "viscose": "summer spring",
    "lace": "summer spring",
    "straw": "summer",
    "raffia": "summer",
    "canvas": "spring summer",
    "flannel": "autumn winter",
    "wool": "winter autumn",
    "merino": "autumn winter",
    "cashmere": "winter",
    "mohair": "winter",
    "tweed": "autumn winter",
    "corduroy": "autumn",
    "velvet": "winter autumn",
    "suede": "autumn spring",
    "felt": "autumn winter",
    "fleece": "winter autumn",
    "down": "winter",
    "softshell": "autumn spring",
    "gabardine": "spring autumn",
    "nubuck": "autumn winter",
    "opaque knit": "autumn winter",
}

_SEASON_OF_CUT: dict[tuple[str, str], str] = {
    ("sandals", ""): "summer",
    ("shorts", ""): "summer",
    ("tank-top", ""): "summer",
    ("bucket-hat", ""): "summer",
    ("blouse", "off-shoulder"): "summer",
    ("parka", "fur-trimmed"): "winter",
    ("parka", "hooded"): "autumn",
    ("boots", "knee-high"): "winter",
    ("sweater", "chunky"): "winter",
    ("sweater", "turtleneck"): "winter",
}


def seasons_of(garment: str, cut: str, fabric: str) -> tuple[str, ...]:
    """Seasons in which such a garment may be sold; the garment or its cut decides before its fabric."""
    fixed = _SEASON_OF_CUT.get((garment, "")) or _SEASON_OF_CUT.get((garment, cut))
    return (fixed,) if fixed else tuple(_SEASONS_OF_FABRIC.get(fabric, ALL_SEASON).split())
