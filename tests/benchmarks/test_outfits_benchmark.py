"""The outfit model's page shows what was measured, and says what was not."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import outfits
from benchmarks.outfit_figures import figures
from inference.outfits import artifact
from inference.outfits.calibration import Calibration
from inference.outfits.network import OutfitNetwork
from inference.outfits.towers import FrozenTowers
from tests.training.outfits.conftest import COUNTS, quick_settings, write_outfits
from training.outfits.data import read_tables
from training.outfits.term_counts import count_terms


def test_every_figure_has_an_interval_and_a_place_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.outfit_figures._DRAWS", 20)
    data = write_outfits(tmp_path / "data")
    settings = quick_settings()
    towers = FrozenTowers(settings.network)
    network = OutfitNetwork(settings.network, towers.category_texts(), towers.image_features)
    (tmp_path / "artifact").mkdir()
    artifact.save(network, count_terms(read_tables(data)), Calibration(), tmp_path / "artifact")
    found = figures(tmp_path / "artifact", data, seed=7)
    assert (found["outfits"], found["questions"]) == (COUNTS["test"], 3 * COUNTS["test"])
    assert "style_fitb" not in found["values"], "these garments have no style"
    assert all(" to " in value for value in found["values"].values())
    assert set(found["categories"]) == {"tops", "bottoms", "shoes"}
    page = outfits.page({"sample": found | {"train_seconds": 1.0, "train_cpu_seconds": 1.0}})
    for name in ("fitb", "fitb_untitled", "auc_untitled", "ece", "ece_parts_untitled", "one_category_odds"):
        assert found["values"][name] in page
    assert "Not measured: the photos were not imported" in page
