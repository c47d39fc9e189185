"""`training.device` reads the accelerator setting as the chat model always has."""

from __future__ import annotations

import pytest
import torch

from training.device import training_device
from training.settings import TrainerSettings


@pytest.mark.parametrize(
    ("accelerator", "with_cuda"), [("auto", "cuda:0"), ("gpu", "cuda:0"), ("cpu", "cpu"), ("mps", "cpu")]
)
@pytest.mark.parametrize("cuda", [True, False])
def test_a_gpu_is_used_where_it_is_asked_for_and_there(
    monkeypatch: pytest.MonkeyPatch, accelerator: str, with_cuda: str, cuda: bool
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    device = training_device(TrainerSettings.model_validate({"accelerator": accelerator}))
    assert device == (with_cuda if cuda else "cpu")
    assert torch.device(device).type == device.split(":", maxsplit=1)[0]


def test_processes_that_were_launched_side_by_side_take_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "3")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert training_device(TrainerSettings(accelerator="gpu")) == "cuda:3"
    assert training_device(TrainerSettings(accelerator="cpu")) == "cpu"
