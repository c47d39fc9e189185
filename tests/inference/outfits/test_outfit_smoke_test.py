"""The outfit model's smoke test tells the recorded model from another one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aura.errors import WrongAnswerError
from inference import smoke_test
from inference.outfits.smoke_test import SMOKE_TEST


def test_the_recorded_model_passes_and_weights_of_zero_do_not(own_artifact: Path) -> None:
    smoke_test.record(SMOKE_TEST, own_artifact, "cpu")
    smoke_test.check(SMOKE_TEST, own_artifact, "cpu")
    weights = own_artifact / "model.safetensors"
    save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(WrongAnswerError, match=r"shoes for outfit|scores"):
        smoke_test.check(SMOKE_TEST, own_artifact, "cpu")


def test_a_service_is_compared_by_its_scores_alone() -> None:
    recorded = {"scores": [0.5, 0.6, 0.7], "similarities": [[0.1, 0.2]] * 3}
    assert SMOKE_TEST.differences(recorded, {"scores": [0.5, 0.601, 0.7]}) == []
    assert SMOKE_TEST.differences(recorded, {"scores": [0.5, 0.7, 0.7]}) == ["outfit 1 scores 0.700 instead of 0.600"]
    assert SMOKE_TEST.differences(recorded, {"scores": [0.5, float("nan"), 0.7]})
