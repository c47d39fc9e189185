"""The table of labels."""

from __future__ import annotations

import pytest

from aura.errors import DataError
from aura.taxonomy import CATEGORIES, Category, category_id, category_of


def test_class_ids_follow_the_declared_order() -> None:
    assert len(CATEGORIES) == 12
    assert [category_id(category) for category in CATEGORIES] == list(range(12))


@pytest.mark.parametrize(
    ("label", "category"),
    [
        ("T-shirt", Category.TOPS),
        (" Dress ", Category.ALL_BODY),
        ("Outwear", Category.OUTERWEAR),
        ("all-body", Category.ALL_BODY),
    ],
)
def test_fine_labels_map_in_any_letter_case(label: str, category: Category) -> None:
    assert category_of(label) is category


def test_an_unknown_label_is_named_with_the_known_ones() -> None:
    with pytest.raises(DataError, match=r"'kilt'.*known labels: .*skirt") as caught:
        category_of("kilt")
    assert "taxonomy.py" in caught.value.hint
