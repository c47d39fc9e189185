"""The plan of one GPU's memory: bytes by hand, and what fits on which card."""

from __future__ import annotations

from typing import Literal

import pytest
from typer.testing import CliRunner

from aura.errors import SettingsError
from bentos.serving.settings import ServingSettings
from flows.cli.app import app
from inference.gpu_memory import GB, GpuMemorySettings, memory_plan


def test_weights_and_keys_are_counted_in_bytes() -> None:
    settings = GpuMemorySettings(
        runner_gb=0.5, detector_parameters=1e6, detector_activations_gb=0, outfits_parameters=2e6, outfits_activations_gb=0,
        chat_parameters=100e6, chat_embedding_parameters=20e6, chat_adapted_parameters=30e6, chat_activations_gb=0,
        chat_layers=2, chat_key_heads=3, chat_head_size=8, chat_tokens=10, chat_streams=5, night_gb=7,
        card_gb=100, reserve_share=0.1,
    )  # fmt: skip
    plan = memory_plan(settings)
    assert plan.holders == {
        "runners' libraries": 1.5 * GB, "detector": 4e6, "outfit model": 8e6, "chat base": 200e6,
        "chat keys and values": 2 * 2 * 3 * 8 * 2 * 10 * 5, "next release": 4e6 + 8e6 + 60e6, "night": 7 * GB,
    }  # fmt: skip
    assert plan.available == pytest.approx(90 * GB)
    in_four_bits = memory_plan(settings.model_copy(update={"chat_bits": 4})).holders
    assert in_four_bits["chat base"] == 80e6 * 4.5 / 8 + 20e6 * 2
    assert in_four_bits["next release"] == 4e6 + 8e6


@pytest.mark.parametrize(
    ("card_gb", "chat_bits", "streams", "night_gb", "fits"),
    [
        (12, 16, 1, 0, False),
        (12, 4, 1, 0, False),
        (24, 4, 8, 0, True),
        (24, 16, 8, 0, False),
        (80, 16, 64, 0, True),
        (80, 16, 8, 20, True),
        (80, 16, 64, 20, False),
    ],
)
def test_what_fits_on_a_card(
    card_gb: float, chat_bits: Literal[4, 16], streams: int, night_gb: float, fits: bool
) -> None:
    plan = memory_plan(GpuMemorySettings(card_gb=card_gb, chat_bits=chat_bits, chat_streams=streams, night_gb=night_gb))
    if fits:
        plan.check()
        return
    with pytest.raises(SettingsError, match=r"plan takes .* GB are available; most hold: .*chat base") as refused:
        plan.check()
    assert "chat_streams" in str(refused.value)


@pytest.mark.parametrize(("streams", "fits"), [(6, True), (8, False)])
def test_on_a_small_card_the_chat_has_room_where_the_others_are_on_the_processor(streams: int, fits: bool) -> None:
    plan = memory_plan(
        GpuMemorySettings(
            card_gb=12, chat_bits=4, chat_streams=streams, runners=1, detector_parameters=0, detector_activations_gb=0,
            outfits_parameters=0, outfits_activations_gb=0,
        )
    )  # fmt: skip
    assert (plan.total <= plan.available) is fits


def test_services_whose_models_do_not_fit_do_not_start() -> None:
    small = GpuMemorySettings(card_gb=12)
    ServingSettings(device="cpu", gpu_memory=small).check_gpu_memory()
    ServingSettings(device="cuda").check_gpu_memory()
    with pytest.raises(SettingsError, match="GB are available"):
        ServingSettings(device="cuda", gpu_memory=small).check_gpu_memory()
    other = GpuMemorySettings(card_gb=24, chat_bits=4)
    with pytest.raises(SettingsError, match="loads its base in 16 bits"):
        ServingSettings(device="cuda", gpu_memory=other).check_gpu_memory()
    ServingSettings(device="cuda", gpu_memory=other, openai_model="served").check_gpu_memory()


def test_the_command_shows_the_plan_and_refuses_what_does_not_fit() -> None:
    fits = CliRunner().invoke(app, ["plan-memory", "--set", "serving.gpu_memory.card_gb=80"])
    assert fits.exit_code == 0
    assert "chat base" in fits.output
    refused = CliRunner().invoke(app, ["plan-memory", "--set", "serving.gpu_memory.card_gb=12"])
    assert isinstance(refused.exception, SettingsError)
