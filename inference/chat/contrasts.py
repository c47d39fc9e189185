"""Words that look alike to an embedding and are not: opposites, and members of one class such as colours and fabrics.

An embedding puts "white" beside "black" and "cotton" beside "silk"; a claim with the one is not supported by a passage with the
other. The lists are those of a wardrobe and its care.
"""

from __future__ import annotations

from collections.abc import Collection

from inference.chat.content_words import STOP_WORDS, same_word, stem, words

_OPPOSITES = """
    above/below add/remove after/before afternoon/morning allowed/forbidden always/never angular/round back/front best/worst
    better/worse big/small bind/loosen bold/plain bottom/top bright/dull broad/narrow broaden/slim careful/careless
    casual/formal casual/smart cheap/expensive clean/dirty close/open closed/open cold/hot cold/warm cool/heat cool/warm
    damp/dry dark/light day/evening day/night deep/shallow different/same dim/bright dry/wet early/late easy/hard empty/full
    fast/slow few/many fine/coarse first/last fitted/loose fold/hang formal/informal front/behind heavy/light hide/show
    high/low horizontal/vertical hot/cool improve/damage increase/reduce indoors/outdoors inside/outside large/small
    lengthen/shorten long/short loose/tight matt/shiny matte/shiny maximum/minimum more/fewer more/less morning/evening
    most/least muted/neon new/old noon/evening over/under permitted/forbidden plain/patterned possible/impossible
    protect/damage pull/push quick/slow quickly/slowly raise/lower related/unrelated repel/attract required/optional
    rich/pale rough/smooth round/square safe/dangerous save/waste shrink/stretch sink/float slim/wide soft/hard soft/harsh
    soft/stiff solid/patterned strengthen/weaken strong/weak stronger/weaker sun/shade tall/short thick/thin upper/lower
    warm/chilly wear/remove wide/narrow with/without
"""
_OCCASIONS = "wedding funeral christening interview festival"
_CLASSES = (
    """
    black white ivory champagne cream beige camel taupe cognac brown grey charcoal navy blue cobalt teal green olive khaki
    emerald sage mint red burgundy rust pink raspberry orange peach yellow mustard purple lavender plum turquoise coral
    ecru chocolate tan moss
    """,
    """
    cotton linen silk wool merino cashmere lambswool mohair tweed flannel corduroy denim polyester polyamide nylon viscose
    lyocell elastane acrylic fleece leather suede nubuck canvas rubber velvet satin chiffon jersey poplin twill seersucker
    gabardine down plastic hemp felt shearling
    """,
    """
    shirt blouse jumper cardigan blazer coat jacket dress skirt trouser jean short legging tights vest gown jumpsuit parka
    poncho trench swimwear bra hoodie
    """,
    "boot trainer loafer brogue oxford derby sandal espadrille heel pump wedge",
    "scarf hat glove belt tie bag clutch tote necklace bracelet earring ring watch umbrella sock beret beanie brooch",
    "gold silver platinum brass steel titanium nickel copper bronze",
    "spring summer autumn winter",
    _OCCASIONS,
    "head neck shoulder chest waist hip knee calf ankle wrist elbow thumb toe ear navel",
    "salt vinegar chalk bleach detergent softener shampoo wax soap toothpaste soda",
    "daily weekly monthly yearly",
    "morning noon afternoon evening",
    "moth beetle tick",
    "january february march april may june july august september october november december",
)
_OCCASION_STEMS = frozenset(map(stem, _OCCASIONS.split()))
_OPPOSITE_OF: dict[str, set[str]] = {}
for _pair in _OPPOSITES.split():
    _one, _other = map(stem, _pair.split("/"))
    _OPPOSITE_OF.setdefault(_one, set()).add(_other)
    _OPPOSITE_OF.setdefault(_other, set()).add(_one)
_CLASS_OF = {stem(word): number for number, members in enumerate(_CLASSES) for word in members.split()}


def contrasts(one: str, other: str) -> bool:
    """Whether two stems exclude each other: opposites in any form, "lined" and "unlined", or two members of a class."""
    return _opposed(one, other) or (one != other and one in _CLASS_OF and _CLASS_OF[one] == _CLASS_OF.get(other))


def names_another_occasion(question: str, heading: str) -> bool:
    """Whether both name occasions, and none in common: what a funeral asks for answers nothing about a wedding."""
    asked, told = ({stem(word) for word in words(text)} & _OCCASION_STEMS for text in (question, heading))
    return bool(asked and told and not asked & told)


def is_specific(word: str) -> bool:
    """Whether a stem belongs to a class, whose members no other word stands for."""
    return word in _CLASS_OF


def _opposed(one: str, other: str) -> bool:
    return one == f"un{other}" or other == f"un{one}" or _positive(other) in _OPPOSITE_OF.get(_positive(one), ())


def _positive(word: str) -> str:
    """The adjective behind a comparative or superlative that the table knows: "warmer" and "warmest" are "warm"."""
    for ending in ("er", "est", "r", "st"):
        base = word.removesuffix(ending)
        for form in (base, base[:-1]):  # "hotter"
            if base != word and form in _OPPOSITE_OF:
                return form
    return word


def contradicting_word(claim: str, source: str) -> str | None:
    """A word of the claim that the source does not hold while it holds one that excludes it, and that the claim lacks."""
    said, held = _meant(claim), _meant(source)
    only_held = [word for word in held if not _among(word, said)]
    for word in said:
        if not _among(word, held) and any(contrasts(word, twin) for twin in only_held):
            return word
    return None


def roles_swapped(claim: str, source: str) -> bool:
    """Whether two opposites stand in the other order: "thin under thick" and "thick under thin"."""
    said, held = _meant(claim), _meant(source)
    shared = [word for word in said if word in held]
    return any(
        _opposed(one, other) and held.index(one) > held.index(other)
        for place, one in enumerate(shared)
        for other in shared[place + 1 :]
    )


def _meant(text: str) -> list[str]:
    """Stems of content words, and of stop words that have an opposite ("before", "more", "with")."""
    return [stem(word) for word in dict.fromkeys(words(text)) if word not in STOP_WORDS or stem(word) in _OPPOSITE_OF]


def _among(word: str, others: Collection[str]) -> bool:
    return any(same_word(word, other) for other in others)
