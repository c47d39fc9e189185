"""What a training is given: the seed of its views."""

from __future__ import annotations

from pathlib import Path

from tests.training.detection.conftest import make_context


def test_another_candidate_sees_other_views_and_a_resumed_one_the_same(tmp_path: Path) -> None:
    seeds = {
        candidate: make_context(tmp_path, tmp_path, candidate_id=candidate).view_seed
        for candidate in ("one", "other", "")
    }
    assert len(set(seeds.values())) == 3
    assert make_context(tmp_path, tmp_path, candidate_id="one").view_seed == seeds["one"]
    assert make_context(tmp_path, tmp_path, candidate_id="one", seed=6).view_seed != seeds["one"]
    assert all(0 <= seed < 2**63 for seed in seeds.values())
