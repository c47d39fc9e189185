"""What foreign categories are: known by a data set's names, guessed for a person to check, or left to the person."""

from __future__ import annotations

from pathlib import Path

import pytest

from aura.errors import DataError
from aura.taxonomy import CATEGORIES
from dataprep.category_map import DECIDE, meanings_of, propose, read_map
from dataprep.coco_layouts import LAYOUTS, layout_of
from tests.dataprep.coco_originals import DEEPFASHION2, FASHIONPEDIA, MODANET


@pytest.mark.parametrize(
    ("names", "layout", "garments"),
    [(FASHIONPEDIA, "Fashionpedia", 27), (DEEPFASHION2, "DeepFashion2", 13), (MODANET, "ModaNet", 13)],
)
def test_the_public_data_sets_are_known_by_all_their_names(names: tuple[str, ...], layout: str, garments: int) -> None:
    found = layout_of(names)
    assert found is not None
    assert found.name == layout
    meanings = [found.meanings[name.replace("_", " ").replace("-", " ")] for name in names]
    assert sum(meaning.category in CATEGORIES for meaning in meanings) == garments


def test_deepfashion2_is_known_as_its_annotations_write_it_too() -> None:
    found = layout_of(["short sleeve top", "long sleeve outwear", "vest dress"])
    assert found is not None
    assert found.name == "DeepFashion2"


def test_layouts_agree_where_they_share_a_name() -> None:
    seen = {}
    for layout in LAYOUTS:
        for name, meaning in layout.meanings.items():
            assert seen.setdefault(name, meaning.category) == meaning.category


def test_guesses_go_by_the_last_known_word_then_by_the_nearest_label() -> None:
    assert propose(["shirt dress", "dress shirt", "denim jackets"]) == {
        "shirt dress": "all-body", "dress shirt": "tops", "denim jackets": "outerwear",
    }  # fmt: skip
    assert propose(["spectacles", "chair"]) == {"spectacles": "sunglasses"}


def test_a_proposal_can_be_read_once_its_lines_are_decided(tmp_path: Path) -> None:
    counts = {"null": 1, "no": 2, "a: b # c": 3, "été": 4}
    with pytest.raises(DataError, match="3 of the 4 categories"):
        meanings_of(counts, {}, "some set\nwith a break", tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(file.read_text(encoding="utf-8").replace(DECIDE, "tops"), encoding="utf-8")
    assert set(read_map(file)) == {"null", "no", "a: b # c", "été"}
