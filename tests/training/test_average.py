"""Averages of champion and challenger weights: what is averaged, which one is chosen, what is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from training.average import average, best_average, copy_of
from training.average_record import AverageRecord, recorded_average

CHAMPION = {"weight": torch.tensor([0.0, 2.0]), "seen": torch.tensor(3)}
CHALLENGER = {"weight": torch.tensor([1.0, 0.0]), "seen": torch.tensor(8)}


def test_weights_are_averaged_and_counters_are_the_challengers() -> None:
    mixed = average(CHAMPION, CHALLENGER, 0.25)
    torch.testing.assert_close(mixed["weight"], torch.tensor([0.25, 1.5]))
    assert mixed["seen"] == 8
    assert torch.equal(average(CHAMPION, CHALLENGER, 1.0)["weight"], CHALLENGER["weight"])


@pytest.mark.parametrize("other", [{"weight": torch.zeros(3), "seen": torch.tensor(1)}, {"seen": torch.tensor(1)}])
def test_other_networks_have_no_average(other: dict[str, torch.Tensor]) -> None:
    with pytest.raises(ValueError, match="weight differ"):
        average(other, CHALLENGER, 0.5)


def test_a_copy_stays_when_the_network_learns() -> None:
    network = torch.nn.Linear(1, 1)
    before = copy_of(network)
    with torch.no_grad():
        network.weight += 1
    assert not torch.equal(before["weight"], network.weight)


def chosen(tmp_path: Path, wanted: float) -> tuple[float, AverageRecord]:
    """Validation prefers a first weight of `wanted`, which is the challenger's share."""
    state = best_average(
        CHAMPION, CHALLENGER, (0.25, 0.5, 0.75), metric="nearness", out_dir=tmp_path,
        validate=lambda state: -abs(float(state["weight"][0]) - wanted),
    )  # fmt: skip
    record = recorded_average(tmp_path)
    assert record is not None
    return float(state["weight"][0]), record


@pytest.mark.parametrize("wanted", [0.25, 0.5, 0.75, 1.0])
def test_validation_chooses_among_the_averages_and_the_challenger(tmp_path: Path, wanted: float) -> None:
    weight, record = chosen(tmp_path, wanted)
    assert weight == pytest.approx(wanted)
    assert (record.alpha, record.metric) == (wanted, "nearness")
    assert set(record.validation) == {"0.25", "0.5", "0.75", "1"}
    assert max(record.validation.values()) == record.validation[f"{wanted:g}"]


def test_of_equals_the_challenger_itself_is_taken(tmp_path: Path) -> None:
    best_average(CHAMPION, CHALLENGER, (0.25,), metric="ap50", validate=lambda _: 0.5, out_dir=tmp_path)
    record = recorded_average(tmp_path)
    assert record is not None
    assert str(record) == "the challenger itself; validation ap50 per share of the challenger: 0.25: 0.500, 1: 0.500"


def test_a_record_says_what_was_chosen_and_what_was_tried(tmp_path: Path) -> None:
    _, record = chosen(tmp_path, 0.25)
    assert str(record).startswith(
        "0.25 challenger, 0.75 champion; validation nearness per share of the challenger: 0.25: "
    )
    assert recorded_average(tmp_path / "elsewhere") is None
