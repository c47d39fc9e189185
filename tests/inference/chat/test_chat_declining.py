"""The rule of declining: its formula by hand, and what a folder says of it."""

from __future__ import annotations

from dataclasses import replace
from math import exp
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from aura.errors import ArtifactError
from inference.chat.declining import DeclineRule, question_row
from inference.chat.familiarity import SIGNS
from tests.inference.chat.decline_rules import declines_all, declines_below, same_rule

NONE = dict.fromkeys(SIGNS, 0.0)
FILE = "decline_rule.safetensors"


def test_the_rule_is_the_kernel_machine_of_its_formula() -> None:
    scale = np.ones(len(SIGNS) + 2, dtype=np.float32)
    scale[SIGNS.index("rarity")], scale[-1] = 2.0, 0.5
    vectors = np.zeros((2, len(scale)), dtype=np.float32)
    vectors[0, SIGNS.index("rarity")], vectors[1, -1] = 1.0, 1.0
    for border, held in ((1e-4, True), (-1e-4, False)):
        # Scaled: rarity 3 / 2, the last column 0.25 / 0.5.
        expected = 2.0 * exp(-0.7 * (0.5**2 + 0.5**2)) - 3.0 * exp(-0.7 * (1.5**2 + 0.5**2))
        rule = DeclineRule(
            low=np.full_like(scale, -9.0), high=np.full_like(scale, 9.0), scale=scale, vectors=vectors,
            coefficients=np.array([2.0, -3.0], dtype=np.float32),
            intercept=border - expected, gamma=0.7,
        )  # fmt: skip
        assert rule.holds(NONE | {"rarity": 3.0}, np.array([0.0, 0.25])) is held


def test_beyond_what_is_usual_a_question_counts_as_the_farthest_that_is() -> None:
    rule = declines_below("words", 5.0, dim=2)
    usual = replace(rule, low=np.full_like(rule.low, 4.8), high=np.full_like(rule.high, 5.2))
    for words, held in ((4.9, True), (5.1, False)):
        assert rule.holds(NONE | {"words": words}, np.zeros(2)) is held
        assert usual.holds(NONE | {"words": words}, np.zeros(2)) is held
    assert not rule.holds(NONE | {"words": -500.0}, np.zeros(2)), "the kernel is zero there"
    assert usual.holds(NONE | {"words": -500.0}, np.zeros(2))
    assert not usual.holds(NONE | {"words": 500.0}, np.zeros(2))


def test_a_row_is_the_signs_in_their_order_and_the_embedding() -> None:
    signs = {name: float(place) for place, name in enumerate(SIGNS)}
    row = question_row(dict(reversed(signs.items())), np.array([0.5, -0.5]))
    assert row.tolist() == [*range(len(SIGNS)), 0.5, -0.5]
    assert row.dtype == np.float32


def test_an_embedding_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        declines_below("rarity", 0.5, dim=3).holds(NONE, np.zeros(2))


def test_it_is_the_same_after_a_round_trip(tmp_path: Path) -> None:
    rule = declines_below("mean_similarity", 0.3, dim=2)
    rule.save(tmp_path)
    assert same_rule(DeclineRule.load(tmp_path), rule)
    for similarity, held in ((0.2, True), (0.4, False)):
        loaded = DeclineRule.load(tmp_path)
        assert loaded is not None
        assert loaded.holds(NONE | {"mean_similarity": similarity}, np.zeros(2)) is held
    declines_all(dim=2).save(tmp_path)
    assert same_rule(DeclineRule.load(tmp_path), declines_all(dim=2))


def test_without_a_file_there_is_no_rule(tmp_path: Path) -> None:
    assert DeclineRule.load(tmp_path) is None


@pytest.mark.parametrize("content", [b"", b"{}", b"x" * 100])
def test_a_broken_file_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ArtifactError, match="declines"):
        DeclineRule.load(tmp_path)


@pytest.mark.parametrize("change", ["gamma", "scale", "extra"])
def test_a_file_of_other_arrays_is_told(tmp_path: Path, change: str) -> None:
    declines_below("rarity", 0.5, dim=2).save(tmp_path)
    arrays = load_file(tmp_path / FILE)
    if change == "scale":
        arrays["scale"] = arrays["scale"][:-1].copy()
    elif change == "extra":
        arrays["direction"] = arrays["scale"].copy()
    else:
        del arrays[change]
    save_file(arrays, tmp_path / FILE)
    with pytest.raises(ArtifactError, match="train again"):
        DeclineRule.load(tmp_path)
