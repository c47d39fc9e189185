"""The split of a group is decided by its id alone."""

from __future__ import annotations

from collections import Counter

import pytest
from pydantic import ValidationError

from dataprep.settings import DataSettings, SplitSettings
from dataprep.splits import split_of

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
