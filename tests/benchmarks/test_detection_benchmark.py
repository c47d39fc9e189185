"""The benchmark of the detector: what it trains, goes on with, measures and writes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from aura.errors import DataError
from benchmarks import detection
from benchmarks.detection import SEEDS, Study, mean_over_seeds, prepared, studies
from benchmarks.retrainings import Recipe, artifact
from tests.benchmarks.test_gate_benchmark import QUICK
from tests.training.detection.conftest import shapes_dir  # noqa: F401 - a fixture
from training.detection.evaluate import evaluate
from training.judged import judging_half


def test_every_recipe_is_one_that_a_profile_could_hold() -> None:
    assert {study.profile for study in studies()} == {"ccp", "sample"}
    for study in studies():
        recipes = list(study.recipes.values())
        assert len({recipe.identity for recipe in recipes}) == len(recipes)
        assert not recipes[0].settings.tiny.backbone, "the first is what the others are compared with"
    names = [(study.profile, recipe.name) for study in studies() for recipe in study.recipes.values()]
    assert len(set(names)) == len(names), "each has a folder of its own"
    assert list(studies()[0].recipes.values())[-1].settings.image_height == 256


def test_photos_that_were_not_imported_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURA_HOME", str(tmp_path))
    with pytest.raises(DataError, match="no photos in") as caught:
        prepared("ccp", tmp_path / "work")
    assert "aura data import ccp" in str(caught.value.hint)


def test_a_stopped_run_goes_on_and_the_page_says_what_it_rests_on(
    tmp_path: Path, shapes_dir: Path, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    names = ("own backbone", "the profile")
    recipes = {
        name: Recipe(name=name.split()[0], model="detection", rows=16, changes=QUICK | {"learning_rate": rate})
        for name, rate in zip(names, (1e-4, 2e-3), strict=True)
    }
    study = Study(profile="shapes", title="Shapes", about="Plain shapes.", recipes=recipes)
    monkeypatch.setattr(detection, "studies", lambda: (study,))
    work, page = tmp_path / "work", tmp_path / "detection.md"
    (work / "shapes").mkdir(parents=True)
    (work / "shapes" / "data").symlink_to(shapes_dir)

    def run(*options: str) -> str:
        monkeypatch.setattr(sys, "argv", ["detection", "--work", str(work), "--page", str(page), *options])
        detection.main()
        return page.read_text()

    assert "Not trained yet" in run("--page-only")
    first, second, _ = (str(seed) for seed in SEEDS)
    run("--only", "shapes/own", "--seeds", first, second)
    written = (work / "shapes" / "detection" / f"own-{first}" / "result.json").stat().st_mtime_ns
    text = run("--seeds", first)
    assert (work / "shapes" / "detection" / f"own-{first}" / "result.json").stat().st_mtime_ns == written
    assert "2 of 3 (own backbone), 1 of 3 (the profile)" in text
    assert "16 photos train, 6 choose the checkpoint, 6 are measured" in text
    assert {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")} >= {
        "tops",
        "shoes",
        "bags",
    }
    assert len(list((work / "shapes").glob("seen-*.png"))) == 6

    models = [artifact(work / "shapes", recipes["own backbone"], seed) for seed in SEEDS[:2]]
    alone = [mean_over_seeds([model], shapes_dir).values["ap50"] for model in models]
    assert mean_over_seeds(models, shapes_dir).values["ap50"] == pytest.approx(np.mean(alone))
    # Six photos are not parted into halves, so that the night's own evaluation is of all of them as well.
    assert judging_half([str(number) for number in range(6)]).all()
    reported = evaluate(models[0], shapes_dir, recipes["own backbone"].settings, seed=0).metrics["ap50"]
    assert alone[0] == pytest.approx(reported, abs=1e-6)
