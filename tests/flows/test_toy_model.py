"""A model is added with a spec and its two stages: trained, evaluated, smoke-tested and judged by the code of all models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aura.artifact import read_json, write_json, write_text
from aura.errors import DataError, SettingsError
from aura.settings import read_profile, read_resolved, validate
from flows.gate import Verdict, judge
from flows.profile import Profile, profile_schema
from inference.smoke_test import FOLDER
from tests.training.paired_cases import mean_of
from training import evaluate, smoke_test, train
from training.context import Evaluation, TrainContext
from training.models import MODELS
from training.settings import TrainerSettings
from training.spec import GateRule, ModelSpec


class MeanSettings(TrainerSettings):
    """How the mean is shrunk."""

    shrinkage: float = 0.0
    """Share of the way from the mean to 0."""


class MeanGate(GateRule):
    """When a mean is good enough."""

    metric: str = "accuracy"
    floor: float | None = 0.5


class MeanSmokeTest:
    """The model's answer is its mean."""

    def write_inputs(self, folder: Path) -> None:
        write_json(folder / "inputs.json", [])

    def answers(self, artifact: Path, device: str) -> float:
        return _mean(artifact)

    def differences(self, recorded: float, found: float) -> list[str]:
        return [] if recorded == found else [f"{found} instead of {recorded}"]


def _mean(artifact: Path) -> float:
    return float(read_json(artifact / "config.json", "the mean")["mean"])


def _numbers(data_dir: Path, split: str) -> list[float]:
    numbers: list[float] = read_json(data_dir / "numbers" / f"{split}.json", f"the {split} split")
    return numbers


def _train(settings: MeanSettings, context: TrainContext) -> dict[str, float]:
    numbers = _numbers(context.data_dir, "train")
    write_json(context.out_dir / "config.json", {"mean": sum(numbers) / len(numbers) * (1 - settings.shrinkage)})
    return {"numbers": float(len(numbers))}


def _evaluate(artifact_dir: Path, data_dir: Path, settings: MeanSettings, seed: int) -> Evaluation:  # noqa: ARG001
    numbers = _numbers(data_dir, "test")
    errors = [abs(number - _mean(artifact_dir)) for number in numbers]
    accuracy = 1 - sum(errors) / len(errors)
    return Evaluation(metrics={"accuracy": accuracy}, n=len(numbers), judged=mean_of([1 - error for error in errors]))


TOY = ModelSpec(
    name="toy", settings=MeanSettings, data_folders=("numbers",), train=_train, evaluate=_evaluate, gate=MeanGate,
    smoke_test=MeanSmokeTest(),
)  # fmt: skip


@pytest.fixture(autouse=True)
def listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy in the table of models. It has no folders whose code could be hashed."""
    monkeypatch.setitem(MODELS, TOY.name, TOY)
    monkeypatch.setattr(ModelSpec, "entries", property(lambda _spec: ("training.train",)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split, numbers in (("train", [0.4, 0.6]), ("test", [0.5, 0.5])):
        write_json(tmp_path / "data" / "numbers" / f"{split}.json", numbers)
    return tmp_path / "data"


class Stages:
    """The commands of the two stages, as `dvc.yaml` would give them, on a profile with a section for the toy."""

    def __init__(self, folder: Path, data: Path, section: str) -> None:
        self.folder, self.data, self.params = folder, data, folder / "params.yaml"
        write_text(self.params, f"profile: toy\ntracking: {{enabled: false}}\n{section}\n")

    def train(self, name: str = "challenger") -> int:
        return train.main([TOY.name, *self._options(), "--out", str(self.folder / name)])

    def evaluate(self, champion: str = "champion") -> dict[str, Any]:
        artifacts = ["--challenger", str(self.folder / "challenger"), "--champion", str(self.folder / champion)]
        assert evaluate.main([TOY.name, *self._options(), *artifacts, "--out", str(self.folder / "test.json")]) == 0
        comparison: dict[str, Any] = read_json(self.folder / "test.json", "the comparison")
        return comparison

    def profile(self) -> Profile:
        return validate(profile_schema(MODELS), read_profile(str(self.params)))

    def verdict(self) -> Verdict:
        return judge(self.evaluate(), self.profile().gate.rule(TOY.name))

    def _options(self) -> Sequence[str]:
        return ["--params", str(self.params), "--data", str(self.data)]


def test_its_two_stages_and_its_gate(tmp_path: Path, data: Path) -> None:
    stages = Stages(tmp_path, data, "toy: {shrinkage: 0.8}")
    assert stages.train() == 0
    artifact = tmp_path / "challenger"
    assert {path.name for path in artifact.iterdir()} == {
        "config.json",
        "metrics.json",
        "lineage.json",
        "card.md",
        "params.json",
        FOLDER,
    }
    assert read_json(artifact / "lineage.json", "lineage")["model"] == "toy"
    comparison = stages.evaluate()
    assert comparison["challenger"]["metrics"] == {"accuracy": pytest.approx(0.6)}
    assert (comparison["model"], comparison["champion"]) == ("toy", None)
    assert stages.verdict().label == "promoted"

    artifact.rename(tmp_path / "champion")
    assert stages.train() == 0
    assert stages.verdict().label == "kept champion", "an equal challenger is no gain"
    better = Stages(tmp_path, data, "toy: {shrinkage: 0.1}")
    assert better.train() == 0
    assert better.verdict().label == "promoted"


def test_its_gate_is_a_part_of_the_profile(tmp_path: Path, data: Path) -> None:
    stages = Stages(tmp_path, data, "toy: {shrinkage: 0.8}\ngate: {toy: {floor: 0.7}}")
    assert stages.train() == 0
    verdict = stages.verdict()
    assert (verdict.label, verdict.reasons) == ("rejected", ["accuracy 0.600 is below the floor 0.700"])
    values = stages.profile().model_dump(mode="json")
    assert values["toy"]["shrinkage"] == 0.8
    assert values["gate"]["toy"]["metric"] == "accuracy"
    assert {"detection", "outfits", "chat", "toy"} < set(values)


def test_a_wrong_key_in_its_section_is_named(tmp_path: Path, data: Path) -> None:
    stages = Stages(tmp_path, data, "toy: {shrink: 0.8}\ngate: {toy: {flooring: 0.7}}")
    with pytest.raises(SettingsError) as caught:
        stages.profile()
    assert "toy.shrink: unknown key; known here: " in caught.value.message
    assert "gate.toy.flooring: unknown key; known here: compare, controls, floor" in caught.value.message
    assert stages.train() == 2


def test_its_copy_answers_the_smoke_test(tmp_path: Path, data: Path) -> None:
    assert Stages(tmp_path, data, "").train() == 0
    artifact = tmp_path / "challenger"
    assert smoke_test.main(["toy", str(artifact)]) == 0
    write_json(artifact / "config.json", {"mean": 0.0})
    assert smoke_test.main(["toy", str(artifact), "--device", "cpu"]) == 2


def test_missing_data_is_named_before_the_training(tmp_path: Path, data: Path) -> None:
    settings, common = TOY.read_settings(read_resolved(Stages(tmp_path, data, "").params))
    folders = train.Folders(
        data=tmp_path, base=None, checkpoints=tmp_path / "c", plots=tmp_path / "p", out=tmp_path / "challenger"
    )
    with pytest.raises(DataError, match="prepared data lacks numbers"):
        train.run(TOY, settings, common, folders, {})


@pytest.mark.parametrize("option", ["--out", "--pictures"])
def test_a_folder_that_no_training_made_is_refused_before_the_training(
    option: str, tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "wedding.jpg").write_bytes(b"the only copy")
    stages = Stages(tmp_path, data, "")
    monkeypatch.setattr(
        stages, "_options", lambda: ["--params", str(stages.params), "--data", str(data), option, str(photos)]
    )
    name = "photos" if option == "--out" else "challenger"
    assert stages.train(name) == 2
    assert f"{photos} (not " in capsys.readouterr().err
    assert [path.name for path in photos.iterdir()] == ["wedding.jpg"]
    assert not (tmp_path / f".{name}.building").exists(), "nothing was begun"


def test_checkpoints_of_other_trainings_are_removed_and_nothing_else(tmp_path: Path, data: Path) -> None:
    checkpoints = tmp_path / "challenger.checkpoints"
    (checkpoints / "mine").mkdir(parents=True)
    (checkpoints / "mine" / "last.ckpt").write_bytes(b"weeks of work")
    (checkpoints / "notes.txt").write_text("mine")
    assert Stages(tmp_path, data, "toy: {shrinkage: 0.8}").train() == 0
    [first] = [path for path in checkpoints.iterdir() if path.name not in ("mine", "notes.txt")]
    assert Stages(tmp_path, data, "toy: {shrinkage: 0.1}").train() == 0
    left = {path.name for path in checkpoints.iterdir()}
    assert {"mine", "notes.txt"} < left
    assert first.name not in left
    assert len(left) == 3
    assert (checkpoints / "mine" / "last.ckpt").read_bytes() == b"weeks of work"


def test_one_folder_for_two_outputs_or_an_input_is_refused(
    tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stages = Stages(tmp_path, data, "")
    both = [
        "--params",
        str(stages.params),
        "--data",
        str(data),
        "--out",
        str(tmp_path),
        "--pictures",
        str(tmp_path / "p"),
    ]
    assert train.main([TOY.name, *both]) == 2
    message = capsys.readouterr().err
    assert f"--out {tmp_path} would be replaced with --data {data} in it" in message
    assert f"--out {tmp_path} would be replaced with --pictures {tmp_path / 'p'} in it" in message
    assert (data / "numbers" / "train.json").is_file()


def test_a_training_replaces_what_an_earlier_one_made(tmp_path: Path, data: Path) -> None:
    for shrinkage in (0.8, 0.1):
        assert Stages(tmp_path, data, f"toy: {{shrinkage: {shrinkage}}}").train() == 0
    assert _mean(tmp_path / "challenger") == pytest.approx(0.45)
