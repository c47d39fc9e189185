"""Numbers of a sentence with their units, and whether another sentence holds them.

"2 to 3 cm", "20-30 mm" and "between 2 and 3 centimetres" are one quantity; so are "half" and "50 %", "an hour" and "60 minutes".
pint converts units but finds none in a text, and quantulum3, which does, brings a classifier: the pages write a dozen units.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from inference.chat.content_words import STOP_WORDS, same_word, stem

Bound = Literal["at most", "at least"]


@dataclass(frozen=True)
class Quantity:
    """One number or one range, in the base unit of its kind."""

    low: float
    high: float
    """Equal to `low` for a single number."""
    unit: str
    """mm, g, g/m², ml, min, month, °C, share (of one), times, nth or a code such as a4; "" for what is counted."""
    bound: Bound | None = None
    counted: tuple[str, ...] = ()
    """Stems of the words behind a number without a unit; what is counted is among them."""

    @property
    def is_one(self) -> bool:
        """Whether it is "one" or "every", which mostly count nothing ("the better one", "every piece")."""
        return self.unit in {"", "nth"} and self.low == self.high == 1

    def same_kind(self, other: Quantity) -> bool:
        """Whether both measure, or count, the same."""
        if self.unit or other.unit:
            return self.unit == other.unit
        if not self.counted or not other.counted:
            return self.counted == other.counted
        return any(same_word(word, twin) for word in self.counted for twin in other.counted)

    def holds(self, claim: Quantity) -> bool:
        """Whether this quantity, of a source, says what the claim's does.

        It does with the same ends, or as a range with one end that is the claim's. A bound must be the source's too; the ends of
        a range are bounds.
        """
        ends, claimed = {round(self.low, 4), round(self.high, 4)}, {round(claim.low, 4), round(claim.high, 4)}
        comparable = self.same_kind(claim) or (self.unit == claim.unit == "" and not (self.counted and claim.counted))
        if not comparable or not claimed <= ends:
            return False
        if claim.bound is None or claim.bound == self.bound:
            return True
        return (
            self.bound is None and len(ends) == 2 and claimed == {min(ends) if claim.bound == "at least" else max(ends)}
        )


def compare_quantities(claim: Sequence[Quantity], source: Sequence[Quantity]) -> Literal["held", "absent", "other"]:
    """`held` when the source holds every quantity of the claim; `other` when it has another one of the kind instead."""
    missing = [quantity for quantity in claim if not any(one.holds(quantity) for one in source)]
    if any(one.same_kind(quantity) for quantity in missing for one in source):
        return "other"
    return "held" if all(quantity.is_one for quantity in missing) else "absent"


_ONES = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred")
_NUMBERS = {word: float(value) for value, word in enumerate((*_ONES, *_TEENS), start=1)}
_NUMBERS |= {word: 10.0 * value for value, word in enumerate(_TENS, start=2)}
_NTH = ("third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_PARTS = {"half": 2, "halve": 2, "quarter": 4} | {word: value for value, word in enumerate(_NTH, start=3)}
_NOT_SINGLE = frozenset((*_NUMBERS, *_NTH, "second", "other", "few", "of"))
"""Words behind which "every" does not mean each single one."""
_TIMES = {"twice": 2.0, "double": 2.0, "thrice": 3.0, "triple": 3.0}

_UNITS = {
    name: (base, factor)
    for names, base, factor in (
        ("mm millimetre millimeter", "mm", 1.0),
        ("cm centimetre centimeter", "mm", 10.0),
        ("m metre meter", "mm", 1e3),
        ("km kilometre kilometer", "mm", 1e6),
        ("inch inche", "mm", 25.4),
        ("micrometre micron", "mm", 1e-3),
        ("g/m2 gsm", "g/m²", 1.0),
        ("g gram gramme", "g", 1.0),
        ("kg kilo kilogram", "g", 1e3),
        ("oz ounce", "g", 28.35),
        ("ml millilitre milliliter", "ml", 1.0),
        ("l litre liter", "ml", 1e3),
        ("second sec", "min", 1 / 60),
        ("minute min", "min", 1.0),
        ("hour hr h", "min", 60.0),
        ("day night", "min", 1440.0),
        ("week", "min", 10080.0),
        ("month", "month", 1.0),
        ("year", "month", 12.0),
        ("% percent", "share", 0.01),
        ("°c ° degree celsius", "°C", 1.0),
        ("°f fahrenheit", "°F", 1.0),
        ("time", "times", 1.0),
    )
    for name in names.split()
}
_SPANS = frozenset(("minute", "hour", "week", "month"))
"""Units that "a" or "an" makes a quantity of ("an hour"); "a day" and "a year" are mostly rates."""

_TOKEN = re.compile(
    r"g/m2|°c\b|°f\b|\d+(?:-\d+){2,}|[^\W\d_]+\d[\w]*|(?<!\S)-\d+(?:\.\d+)?|\d+(?:,\d{3})+|\d+(?:\.\d+)?|[^\W\d_]+|[^\w\s]"
)
_LEADS: dict[Bound, re.Pattern[str]] = {
    "at most": re.compile(
        r"(?:at most|up to|maximum(?: of)?|max(?: \.)?|under|below"
        r"|(?:less|fewer|smaller|shorter|lighter|narrower|thinner|lower) than)$"
    ),
    "at least": re.compile(
        r"(?:at least|minimum(?: of)?|exceed\w*|over|above"
        r"|(?:more|longer|wider|larger|thicker|higher|heavier|greater|taller) than)$"
    ),
}
_TAILS: dict[Bound, re.Pattern[str]] = {
    "at most": re.compile(
        r"(?:\w+ ){0,2}(?:or|and) (?:no(?:t any)? more|less|fewer|below|under|lower|shorter)\b|at (?:the )?most\b|maximum\b"
    ),
    "at least": re.compile(
        r"(?:\w+ ){0,2}(?:or|and) (?:more|above|over|higher|longer|wider|up)\b|at least\b|minimum\b"
    ),
}
_OPPOSITE: dict[Bound, Bound] = {"at most": "at least", "at least": "at most"}
_NEGATED = re.compile(r"\b(?:no|not|never|t|without)\b[\w ]*$")


def quantities(text: str) -> list[Quantity]:
    """The quantities of a sentence, in order."""
    tokens = _tokens(text)
    found: list[Quantity] = []
    position = 0
    while position < len(tokens):
        some, after = _read(tokens, position)
        if some:
            bound = _bound(tokens, position, after)
            found += [Quantity(one.low, one.high, one.unit, bound, one.counted) for one in some]
        position = after
    return found


def _tokens(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).lower()  # ² becomes 2, ½ becomes 1⁄2, a no-break space a space
    plain = (
        re.sub(r"[\u2012-\u2015\u2212]", "-", plain)
        .replace("\u00d7", "x")
        .replace("per cent", "percent")
        .replace("° ", "°")
    )
    return _TOKEN.findall(plain)


def _read(tokens: list[str], at: int) -> tuple[list[Quantity], int]:
    """Quantities that begin at a token, and the position behind them."""
    token = tokens[at]
    if re.fullmatch(r"[^\W\d_]+\d\w*|\d+(?:-\d+){2,}", token):
        return [Quantity(0, 0, token)], at + 1
    if (times := _TIMES.get(token.removesuffix("d").removesuffix("s"), _TIMES.get(token))) is not None:
        return [Quantity(times, times, "times")], at + 1
    if (part := _part(tokens, at)) is not None:
        return part
    if (
        token in {"every", "each"}
        and tokens[at + 1 : at + 2]
        and tokens[at + 1].isalpha()
        and tokens[at + 1] not in _NOT_SINGLE
    ):
        return [Quantity(1, 1, "nth")], at + 1
    if token in {"a", "an"} and at + 1 < len(tokens) and tokens[at + 1] in _SPANS:
        base, factor = _UNITS[tokens[at + 1]]
        return [Quantity(factor, factor, base)], at + 2
    if _number(tokens, at) is not None:
        return _group(tokens, at)
    return [], at + 1


def _number(tokens: list[str], at: int) -> tuple[float, int] | None:
    """Value of the number at a token, and the position behind it."""
    if at >= len(tokens):
        return None
    token = tokens[at]
    if re.fullmatch(r"-?\d[\d,]*(?:\.\d+)?", token):
        return float(token.replace(",", "")), at + 1
    value = _NUMBERS.get(token)
    if value is None:
        return None
    if token in _TENS and tokens[at + 1 : at + 2] == ["-"] and tokens[at + 2 : at + 3] and tokens[at + 2] in _ONES:
        return value + _NUMBERS[tokens[at + 2]], at + 3
    return value, at + 1


def _part(tokens: list[str], at: int) -> tuple[list[Quantity], int] | None:
    """A share ("half", "two thirds", "a fifth"), half of an hour, or the nth ("every eighth")."""
    count, place = 1.0, at
    if tokens[at] in {"a", "an", *_ONES} and at + 1 < len(tokens):
        count, place = _NUMBERS.get(tokens[at], 1.0), at + 1
        place += tokens[place] == "-" and place + 1 < len(tokens)
    name = tokens[place].removesuffix("s")
    if name not in _PARTS:
        return None
    following = [token for token in tokens[place + 1 : place + 3] if token not in {"a", "an"}][:1]
    if name == "half" and following and following[0] in {"hour", "year"}:
        base, factor = _UNITS[following[0]]
        return [Quantity(factor / 2, factor / 2, base)], tokens.index(following[0], place) + 1
    if place == at and name in _NTH:
        return [Quantity(_PARTS[name], _PARTS[name], "nth")], place + 1
    share = count / _PARTS[name]
    return [Quantity(share, share, "share")], place + 1


def _group(tokens: list[str], at: int) -> tuple[list[Quantity], int]:
    """Numbers that share a unit: "2 to 3 cm", "38 x 30 x 12 cm", "8 or 10 cm", "8 °C to 18 °C"."""
    values: list[tuple[float, str | None]] = []
    links: list[str] = []
    start = at
    while (number := _number(tokens, at)) is not None:
        value, at = number
        unit, at = _unit(tokens, at)
        values.append((value, unit))
        link = tokens[at] if at < len(tokens) else ""
        links_on = {"to", "-", "x"} if unit else {"to", "-", "x", "by", "or", "and"}
        if link not in links_on or _number(tokens, at + 1) is None:
            break
        links.append(link)
        at += 1
    shared = next((unit for _, unit in reversed(values) if unit), None)
    counted = () if shared else _counted(tokens, at)
    base, factor = _UNITS[shared] if shared else ("", 1.0)
    scaled = [value * (_UNITS[unit][1] if unit and _UNITS[unit][0] == base else factor) for value, unit in values]
    ranged = {"to", "-"} | ({"and"} if start and tokens[start - 1] == "between" else set())
    if len(scaled) == 2 and links[0] in ranged:
        return [Quantity(min(scaled), max(scaled), base, counted=counted)], at
    return [Quantity(value, value, base, counted=counted) for value in scaled], at


def _unit(tokens: list[str], at: int) -> tuple[str | None, int]:
    """Name of the unit at a token, also behind a hyphen ("30-minute"), and the position behind it."""
    place = at + (tokens[at : at + 1] == ["-"])
    if place >= len(tokens):
        return None, at
    name = tokens[place] if tokens[place] in _UNITS else tokens[place].removesuffix("s")
    if name not in _UNITS:
        return None, at
    if (
        name in {"degree", "°"}
        and tokens[place + 1 : place + 2]
        and tokens[place + 1] in {"c", "celsius", "f", "fahrenheit"}
    ):
        return "°c" if tokens[place + 1].startswith("c") else "°f", place + 2
    return name, place + 1


def _counted(tokens: list[str], at: int) -> tuple[str, ...]:
    found = []
    for token in tokens[at : at + 4]:
        if not token.isalpha():
            if token == "-":
                continue
            break
        if token in {"and", "or"}:
            break
        if token not in STOP_WORDS:
            found.append(stem(token))
    return tuple(found[:3])


def _bound(tokens: list[str], start: int, end: int) -> Bound | None:
    """Which bound the words of the clause around a number make of it: "no more than", "or above"."""
    before = [token for token in tokens[max(0, start - 7) : start] if token not in {"about", "a", "an"}]
    marks = [place for place, token in enumerate(before) if token in {",", ";", ".", ":"}]
    lead = " ".join(before[marks[-1] + 1 if marks else 0 :])
    tail = " ".join(tokens[end : end + 5])
    for bound, pattern in _LEADS.items():
        if match := pattern.search(lead):
            return _OPPOSITE[bound] if _NEGATED.search(lead[: match.start()]) else bound
    return next((bound for bound, pattern in _TAILS.items() if pattern.match(tail)), None)
