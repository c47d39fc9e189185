"""The split of a group is the one that its source names, or decided by its id alone."""

from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from aura.prepared_rows import SPLITS
from dataprep.settings import DataSettings, SplitSettings
from dataprep.splits import split_of, splits_named

GROUPS = [f"source/photo-{number}" for number in range(20_000)]


def test_shares_are_kept() -> None:
    shares = SplitSettings(train=0.7, val=0.2, test=0.1)
    found = Counter(split_of(group, 7, shares) for group in GROUPS)
    for split, share in shares.model_dump().items():
        assert found[split] / len(GROUPS) == pytest.approx(share, abs=0.01)


def test_a_group_never_changes_sides() -> None:
    # Written down once: another hash would mix what earlier champions were trained on into the test split.
    shares = SplitSettings()
    sides = {number: split_of(f"ccp/photo-{number:04d}", 7, shares) for number in range(1, 31)}
    assert {number: side for number, side in sides.items() if side != "train"} == {
        3: "val", 5: "val", 13: "val", 19: "test", 29: "test",
    }  # fmt: skip


def test_another_seed_gives_another_split() -> None:
    shares = SplitSettings()
    moved = sum(split_of(group, 7, shares) != split_of(group, 8, shares) for group in GROUPS)
    # Two independent draws agree on 0.8^2 + 0.1^2 + 0.1^2 of the groups.
    assert moved / len(GROUPS) == pytest.approx(0.34, abs=0.02)


def test_a_larger_test_split_keeps_the_smaller_one() -> None:
    small, large = SplitSettings(), SplitSettings(train=0.6, val=0.2, test=0.2)
    kept = [group for group in GROUPS if split_of(group, 7, small) == "test"]
    assert {split_of(group, 7, large) for group in kept} == {"test"}


def test_wrong_shares_and_sources_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"sum to 1, not 1\.2"):
        SplitSettings(train=0.8, val=0.2, test=0.2)
    with pytest.raises(ValidationError, match="named twice"):
        DataSettings(sources=["ccp", "ccp"])
    with pytest.raises(ValidationError, match="sources"):
        DataSettings.model_validate({"sources": ["imagenet"]})


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train"], [None]),
        (["one", "two"], [None, None]),
        (["val", "test"], [None, None]),
        (["instances_train2017", "instances_val2017"], ["train or val", "test"]),
        (["train", "validation", "test"], ["train", "val", "test"]),
        (["train", "test"], ["train or val", "test"]),
        (["train", "valid", "more"], ["train or val", "test", None]),
        (["strain", "evaluation"], [None, None]),
    ],
)
def test_parts_of_a_data_set_are_splits_by_their_names(names: list[str], splits: list[str | None]) -> None:
    assert splits_named(names) == splits


def test_a_split_that_a_source_names_stays() -> None:
    shares = SplitSettings(train=0.6, val=0.2, test=0.2)
    for given in SPLITS:
        assert {split_of(group, 7, shares, given) for group in GROUPS} == {given}
    found = Counter(split_of(group, 7, shares, "train or val") for group in GROUPS)
    assert set(found) == {"train", "val"}
    assert found["val"] / len(GROUPS) == pytest.approx(0.25, abs=0.02)
