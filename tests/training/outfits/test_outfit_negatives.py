"""Negatives of a batch: corrupted outfits, thinned ones, blanks and wrong answers hold their guarantees at every draw."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from inference.outfits.model import pad_members
from training.outfits.corruptions import Corruption
from training.outfits.negatives import Outfits, blank_out, corrupt, thin_out, wrong_answers

# Items 0-4 are tops, 5-8 bottoms, 9-11 shoes, 12 the only hat.
_CATEGORY = torch.tensor([0] * 5 + [1] * 4 + [4] * 3 + [6])
_ROWS = [[0, 5, 9], [1, 2, 6, 10, 12], [3, 7], [4], [0, 8, 11, 12]]
_N = len(_CATEGORY)


@pytest.fixture(params=range(8))
def outfits(request: pytest.FixtureRequest) -> Outfits:
    """The same outfits at eight states of the generator."""
    torch.manual_seed(request.param)
    return Outfits(*pad_members(_ROWS))


def _lists(outfits: Outfits) -> list[list[int]]:
    return [members[present].tolist() for members, present in zip(outfits.members, outfits.present, strict=True)]


def _categories(rows: list[list[int]]) -> list[list[int]]:
    return [_CATEGORY[row].tolist() for row in rows]


def test_an_outfit_holds_its_garments_and_no_padding() -> None:
    # Item 0 fills the padding of the third outfit, which does not hold it.
    held = Outfits(*pad_members(_ROWS)).holds(_N)
    assert [row.nonzero().flatten().tolist() for row in held] == [sorted(row) for row in _ROWS]


def test_corrupting_swaps_what_it_can_for_others_of_the_same_category(outfits: Outfits) -> None:
    corrupted, changed = corrupt(outfits, _CATEGORY, "same_category")
    assert torch.equal(corrupted.present, outfits.present)
    assert _categories(_lists(corrupted)) == _categories(_ROWS)
    for before, after in zip(_ROWS, _lists(corrupted), strict=True):
        for old, new in zip(before, after, strict=True):
            # There is one hat, so that it must stay; nothing is swapped for another garment of the outfit.
            assert (new == old) if old == 12 else (new not in before)
    assert changed.all()


def test_corrupting_by_one_swaps_exactly_one(outfits: Outfits) -> None:
    corrupted, changed = corrupt(outfits, _CATEGORY, "one_swapped")
    assert _categories(_lists(corrupted)) == _categories(_ROWS)
    assert changed.all()
    for before, after in zip(_ROWS, _lists(corrupted), strict=True):
        swapped = [new for old, new in zip(before, after, strict=True) if old != new]
        assert len(swapped) == 1
        assert swapped[0] not in before


def test_corrupting_by_any_category_swaps_every_garment(outfits: Outfits) -> None:
    corrupted, changed = corrupt(outfits, _CATEGORY, "any_category")
    assert changed.all()
    for before, after in zip(_ROWS, _lists(corrupted), strict=True):
        assert not set(after) & set(before)


def test_any_category_is_drawn() -> None:
    torch.manual_seed(0)
    outfits = Outfits(*pad_members([_ROWS[0]] * 200))
    draws = _lists(corrupt(outfits, _CATEGORY, "any_category")[0])
    assert {int(_CATEGORY[item]) for after in draws for item in after} == {0, 1, 4, 6}


def test_corrupting_to_one_category_piles_up_that_of_a_garment_that_stays(outfits: Outfits) -> None:
    corrupted, changed = corrupt(outfits, _CATEGORY, "one_category")
    # An outfit of one garment has nothing to swap, and there is no second hat.
    assert not changed[3]
    for before, after, different in zip(_ROWS, _lists(corrupted), changed.tolist(), strict=True):
        assert len(after) == len(before)
        (kept,) = set(after) & set(before) if different else [None]
        if different:
            assert set(_CATEGORY[after].tolist()) == {int(_CATEGORY[kept])}


def test_every_garment_and_every_counterpart_is_drawn() -> None:
    torch.manual_seed(0)
    outfits = Outfits(*pad_members([_ROWS[0]]))
    positions, substitutes = set(), set()
    for _ in range(200):
        (after,) = _lists(corrupt(outfits, _CATEGORY, "one_swapped")[0])
        positions |= {position for position in range(3) if after[position] != _ROWS[0][position]}
        substitutes |= set(after) - set(_ROWS[0])
    assert positions == {0, 1, 2}
    assert substitutes == {1, 2, 3, 4, 6, 7, 8, 10, 11}


@pytest.mark.parametrize("kind", ["one_swapped", "same_category"])
def test_what_cannot_be_corrupted_is_said(kind: Corruption) -> None:
    outfits = Outfits(*pad_members([[0, 1, 2, 3, 4], [12], [0, 12]]))
    corrupted, changed = corrupt(outfits, _CATEGORY, kind)
    assert changed.tolist() == [False, False, True]
    assert torch.equal(corrupted.members[:2], outfits.members[:2])


def test_thinning_leaves_at_least_two_of_the_outfits_own(outfits: Outfits) -> None:
    thinned = thin_out(outfits, 1.0)
    assert torch.equal(thinned.members, outfits.members)
    for before, after in zip(_ROWS, _lists(thinned), strict=True):
        assert set(after) <= set(before)
        assert min(2, len(before)) <= len(after) <= len(before)


def test_thinning_shows_every_size_and_every_garment() -> None:
    torch.manual_seed(0)
    outfits = Outfits(*pad_members([_ROWS[1]] * 400))
    shown = _lists(thin_out(outfits, 1.0))
    assert {len(row) for row in shown} == {2, 3, 4, 5}
    assert {item for row in shown if len(row) == 2 for item in row} == set(_ROWS[1])


def test_thinning_happens_as_often_as_asked() -> None:
    torch.manual_seed(0)
    outfits = Outfits(*pad_members([_ROWS[1]] * 2000))
    assert torch.equal(thin_out(outfits, 0.0).present, outfits.present)
    # Of those that are thinned, one in four happens to keep all five.
    whole = thin_out(outfits, 0.4).present.all(dim=1).float().mean().item()
    assert whole == pytest.approx(0.6 + 0.4 / 4, abs=0.04)


def test_a_blank_is_one_garment_of_each_outfit_of_two_or_more(outfits: Outfits) -> None:
    blanks = blank_out(outfits, _N)
    expected_rows = [row for row in _ROWS if len(row) >= 2]
    assert len(blanks.answer) == len(blanks.context) == len(expected_rows) == 4
    for before, context, answer, whole in zip(
        expected_rows, _lists(blanks.context), blanks.answer.tolist(), blanks.whole, strict=True
    ):
        assert answer in before
        assert context == [item for item in before if item != answer]
        assert whole.nonzero().flatten().tolist() == sorted(before)


def test_every_garment_is_asked_for() -> None:
    torch.manual_seed(0)
    blanks = blank_out(Outfits(*pad_members([_ROWS[1]] * 100)), _N)
    assert set(blanks.answer.tolist()) == set(_ROWS[1])


def test_outfits_of_one_garment_give_no_blanks() -> None:
    blanks = blank_out(Outfits(*pad_members([[4], [12]])), _N)
    assert len(blanks.answer) == len(blanks.context) == len(blanks.whole) == 0


def _wrong(outfits: Outfits, *, same_category: bool) -> list[tuple[list[int], int, list[int]]]:
    """Outfit, answer and wrong answers of each blank."""
    blanks = blank_out(outfits, _N)
    found: Tensor = wrong_answers(blanks, _CATEGORY, same_category=same_category)
    expected_rows = [row for row in _ROWS if len(row) >= 2]
    return [
        (row, answer, wrong.nonzero().flatten().tolist())
        for row, answer, wrong in zip(expected_rows, blanks.answer.tolist(), found, strict=True)
    ]


def test_wrong_answers_are_all_garments_but_the_outfits_own(outfits: Outfits) -> None:
    for row, _, wrong in _wrong(outfits, same_category=False):
        assert wrong == [item for item in range(_N) if item not in row]


def test_hard_wrong_answers_share_the_answers_category(outfits: Outfits) -> None:
    for row, answer, wrong in _wrong(outfits, same_category=True):
        assert wrong == [item for item in range(_N) if item not in row and _CATEGORY[item] == _CATEGORY[answer]]


@pytest.mark.parametrize("same_category", [True, False])
def test_garments_that_thinning_hides_are_no_negatives(outfits: Outfits, same_category: bool) -> None:
    thinned = thin_out(outfits, 1.0)
    for row, _, wrong in _wrong(thinned, same_category=same_category):
        assert not set(row) & set(wrong)
    corrupted, _ = corrupt(thinned, _CATEGORY, "same_category")
    for row, shown, after in zip(_ROWS, _lists(thinned), _lists(corrupted), strict=True):
        assert not (set(after) - set(shown)) & set(row)
