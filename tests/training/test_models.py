"""The table of models: every one has a spec, the same files and its two stages in the pipeline."""

from __future__ import annotations

import pytest
import yaml

from aura.fingerprints import modules_behind
from aura.paths import repo_root
from training.models import MODELS

FILES = {"settings", "data", "module", "train", "evaluate", "metrics", "plots", "warm_start", "spec"}


def test_models_are_listed_by_the_names_in_their_specs() -> None:
    assert list(MODELS) == [spec.name for spec in MODELS.values()] == ["detection", "outfits", "chat"]


@pytest.mark.parametrize("name", MODELS)
def test_the_folder_of_a_model_has_the_files_that_all_have(name: str) -> None:
    assert {path.stem for path in (repo_root() / "training" / name).glob("*.py")} >= FILES
    for entry in MODELS[name].entries:
        assert entry in modules_behind(entry)


@pytest.mark.parametrize("name", MODELS)
def test_the_pipeline_trains_and_evaluates_every_model(name: str) -> None:
    stages = yaml.safe_load((repo_root() / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    train, evaluate = stages[f"train_{name}"], stages[f"evaluate_{name}"]
    data = {f"data/{folder}" for folder in MODELS[name].data_folders}
    saved = {"feedback/outfits"} if name == "outfits" else set()
    assert set(train["deps"]) == data | saved
    assert set(evaluate["deps"]) == data | {f"models/{name}"}
    (parameters,) = (listed["params.yaml"] for listed in train["params"])
    assert {name, "seed", f"inputs.code.train_{name}"} == set(parameters)
    assert train["cmd"].startswith(f"python -m training.train {name} ")
    assert evaluate["cmd"].startswith(f"python -m training.evaluate {name} ")
