"""The chat model's smoke test tells the recorded adapter from another one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from aura.errors import WrongAnswerError
from inference import smoke_test
from inference.chat.smoke_test import SMOKE_TEST


def test_the_recorded_adapter_passes_and_one_of_zeros_does_not(tiny_adapter: Path, tmp_path: Path) -> None:
    artifact = Path(shutil.copytree(tiny_adapter, tmp_path / "artifact"))
    smoke_test.record(SMOKE_TEST, artifact, "cpu")
    smoke_test.check(SMOKE_TEST, artifact, "cpu")
    weights = artifact / "adapter_model.safetensors"
    save_file({name: torch.zeros_like(tensor) for name, tensor in load_file(weights).items()}, weights)
    with pytest.raises(WrongAnswerError, match="nats per token instead of"):
        smoke_test.check(SMOKE_TEST, artifact, "cpu")


def test_a_service_is_compared_by_its_words() -> None:
    recorded = {"nats_per_token": [1.0, 2.0], "replies": ["Wash it by hand.", "Choose brown ones."]}
    assert SMOKE_TEST.differences(recorded, {"replies": ["Wash it by hand.", "Take black ones."]}) == []
    assert SMOKE_TEST.differences(recorded, {"replies": ["Boil it for hours.", "Take black ones."]})
    assert "it answers no words" in SMOKE_TEST.differences(recorded, {"replies": ["", " "]})
