"""Numbers with units are read as people write them, and compared by what they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.chat.quantities import Quantity, compare_quantities, quantities


@pytest.mark.parametrize(
    ("text", "low", "high", "unit"),
    [
        ("2.5 cm", 25, 25, "mm"), ("2 to 3 cm", 20, 30, "mm"), ("20-30 mm", 20, 30, "mm"), ("2\u20133 cm", 20, 30, "mm"),
        ("between 2 and 3 centimetres", 20, 30, "mm"), ("8 °C to 18 °C", 8, 18, "°C"), ("30 degrees", 30, 30, "°C"),
        ("thirty degrees Celsius", 30, 30, "°C"), ("a 100-degree bath", 100, 100, "°C"), ("-18 °C", -18, -18, "°C"),
        ("8,000 mm", 8000, 8000, "mm"), ("220 g/m²", 220, 220, "g/m²"), ("1.5\u00a0kg", 1500, 1500, "g"),
        ("half an hour", 30, 30, "min"), ("an hour", 60, 60, "min"), ("1.5 hours", 90, 90, "min"),
        ("two days", 2880, 2880, "min"),
        ("half of it", 0.5, 0.5, "share"), ("50 per cent", 0.5, 0.5, "share"), ("two thirds", 2 / 3, 2 / 3, "share"),
        ("every eighth wear", 8, 8, "nth"), ("every wear", 1, 1, "nth"), ("twice", 2, 2, "times"),
        ("three times", 3, 3, "times"),
        ("twenty-five cm", 250, 250, "mm"), ("A4", 0, 0, "a4"), ("a 60-30-10 split", 0, 0, "60-30-10"),
        ("68 °F", 68, 68, "°F"),
    ],
)  # fmt: skip
def test_it_is_read(text: str, low: float, high: float, unit: str) -> None:
    (found,) = quantities(text)
    assert (found.low, found.high, found.unit) == (pytest.approx(low), pytest.approx(high), unit)


def test_numbers_share_a_unit() -> None:
    assert [one.low for one in quantities("38 x 30 x 12 cm")] == [380, 300, 120]
    assert [one.low for one in quantities("38 \u00d7 30 cm")] == [380, 300]
    assert [(one.low, one.unit) for one in quantities("8 or 10 cm and 2 kg")] == [(80, "mm"), (100, "mm"), (2000, "g")]


@pytest.mark.parametrize("text", ["", "Wear white.", "a T-shirt with a V-neck", "the day before", "crêpe 毛衣"])
def test_no_numbers(text: str) -> None:
    assert quantities(text) == []


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("up to 5 cm", "at most"), ("no more than 900 g", "at most"), ("under about 160 cm", "at most"),
        ("5 cm or less", "at most"),
        ("do not wash above 30 °C", "at most"), ("two sprays and no more", "at most"), ("never less than 5 cm", "at least"),
        ("at least 5 cm", "at least"), ("220 g/m² or more", "at least"), ("more than half", "at least"),
        ("wider than 5 cm", "at least"),
        ("5 cm", None), ("about 5 cm", None), ("not worth it, 5 cm", None),
    ],
)  # fmt: skip
def test_bounds(text: str, bound: str | None) -> None:
    assert [one.bound for one in quantities(text)] == [bound]


@pytest.mark.parametrize(
    ("claim", "source", "result"),
    [
        ("2 cm", "20 mm", "held"), ("120 minutes", "two hours", "held"), ("half", "50 %", "held"),
        ("48 hours", "two days", "held"),
        ("20 to 30 °C", "20-30 degrees", "held"), ("30 °C", "20 to 30 °C", "held"), ("at most 30 °C", "20 to 30 °C", "held"),
        ("25 °C", "20 to 30 °C", "other"), ("at least 30 °C", "20 to 30 °C", "other"),
        ("20 to 40 °C", "20 to 30 °C", "other"),
        ("at most 3 cm", "at least 3 cm", "other"), ("at most 3 cm", "3 cm", "other"), ("3 cm", "at least 3 cm", "held"),
        ("30 cm", "30 °C", "absent"), ("30 °C", "no number", "absent"), ("no number", "30 °C", "held"),
        ("30 °F", "30 °C", "absent"),
        ("three colours", "four colours", "other"), ("three colours", "3 colours", "held"),
        ("three colours", "three bags", "absent"),
        ("one colour", "three colours", "other"), ("the better one", "three colours", "held"),
        ("every wear", "every fifth wear", "other"),
        ("every piece", "no number", "held"), ("A4", "A5", "absent"), ("A4", "size a4", "held"),
    ],
)  # fmt: skip
def test_comparison(claim: str, source: str, result: str) -> None:
    assert compare_quantities(quantities(claim), quantities(source)) == result


@given(st.text())
def test_any_text_is_read_and_holds_its_own_numbers(text: str) -> None:
    assert compare_quantities(quantities(text), quantities(text)) == "held"


@given(st.integers(1, 999), st.integers(1, 999), st.sampled_from(["cm", "g", "°C", "%", "minutes"]))
def test_another_number_is_never_held(one: int, other: int, unit: str) -> None:
    same = compare_quantities(quantities(f"take {one} {unit} here"), quantities(f"take {other} {unit} here"))
    assert same == ("held" if one == other else "other")


def test_a_single_number_holds_no_range() -> None:
    assert not Quantity(20, 20, "°C").holds(Quantity(20, 30, "°C"))
